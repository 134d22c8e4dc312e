"""What the tour prints: steps, facts, checks, and the verdict that decides the exit code."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape


@dataclass(slots=True)
class Story:
    """Print the tour as it happens and remember every check that failed."""

    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    failures: list[str] = field(default_factory=list)
    steps: int = 0
    told: bool = False

    def step(self, title: str) -> None:
        """Open a step."""
        self.steps += 1
        self.console.print(f"\n[bold cyan]{self.steps}. {title}[/]")

    def did(self, text: str) -> None:
        """Say what was done."""
        self.console.print(f"   [dim]did[/]    {escape(text)}")

    def pushed(self, text: str) -> None:
        """Say what changed on Envoy, and how long it took."""
        self.console.print(f"   [dim]envoy[/]  {escape(text)}")

    def moved(self, text: str) -> None:
        """Say what a step of a move came to."""
        self.console.print(f"   [dim]move[/]   {escape(text)}")

    def check(self, holds: bool, claim: str, otherwise: str = "") -> None:
        """Print a claim with its verdict; a claim that does not hold fails the tour."""
        if holds:
            self.console.print(f"   [green]ok[/]     {escape(claim)}")
            return
        self.failures.append(claim)
        self.console.print(
            f"   [bold red]FAILED[/] {escape(claim)}" + (f": {escape(otherwise)}" if otherwise else "")
        )

    def note(self, text: str) -> None:
        """Print a plain line."""
        self.console.print(text, markup=False)

    def fail(self, text: str) -> None:
        """Print why the tour cannot go on; it has failed."""
        self.failures.append(text)
        self.console.print(f"\n[bold red]The demo cannot go on:[/] {escape(text)}")

    def verdict(self, seconds: float) -> None:
        """Print how the tour ended."""
        self.told = True
        if self.failures:
            self.console.print(f"\n[bold red]{len(self.failures)} claims did not hold[/] in {seconds:.0f} s.")
        else:
            self.console.print(f"\n[bold green]Every claim held[/], in {seconds:.0f} s.")
