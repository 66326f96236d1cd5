"""``python -m wardround``: the same as the command ``wardround``."""

from wardround.console import main

if __name__ == "__main__":
    main()
