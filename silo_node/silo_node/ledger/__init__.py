"""What a hospital's people, and their auditors, see of its ledger: the porter writes it, here it is only read."""
