"""`pollgate completion`: scripts that complete commands, options and values in a shell."""

from typing import Literal

from cyclopts import App

Shell = Literal["bash", "zsh", "fish"]


def register_completion(app: App) -> None:
    """Add the command, which completes the commands of `app`."""

    @app.command(
        help_epilogue="Examples:\n\n"
        "  pollgate completion bash \\\n"
        "    > ~/.local/share/bash-completion/completions/pollgate\n"
        "  pollgate completion zsh > ~/.zsh/completions/_pollgate\n"
        "  pollgate completion fish > ~/.config/fish/completions/pollgate.fish"
    )
    def completion(shell: Shell, /) -> None:
        """Print a script that completes commands, options and their values in a shell.

        Parameters
        ----------
        shell
            The shell: bash, zsh or fish.
        """
        print(app.generate_completion(prog_name="pollgate", shell=shell))
