"""What embedding costs: against the engine alone, against plain loops, per view, and in memory."""
