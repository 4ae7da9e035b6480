"""`python -m chaos`: the same as the command `chaos`."""

from chaos.cli.main import entry as main

if __name__ == "__main__":
    main()
