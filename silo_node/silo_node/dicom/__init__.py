"""DICOM files read without trust: headers, what identifies people in them, and what their pixels need."""
