"""The shared data contracts. Data only: YAML files with good and bad fixtures, read by `wardround.contract`."""
