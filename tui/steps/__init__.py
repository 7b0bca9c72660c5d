"""The wizard's steps, a screen each; see tui.steps.step for how one is made."""
