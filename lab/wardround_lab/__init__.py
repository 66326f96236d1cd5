"""The lab: the data scientist's room to build, simulate, compare and demonstrate; the only code that knows both sides."""
