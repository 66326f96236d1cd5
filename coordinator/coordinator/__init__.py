"""The coordinator: enrolment, rounds, exact sums and releases. It runs at the centre and cannot open records."""
