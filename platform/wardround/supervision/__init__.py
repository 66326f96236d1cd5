"""Processes that belong together: started in order, watched, stopped by their own handles, never orphaned."""
