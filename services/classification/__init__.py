"""Classification: which situation a ticket is, who leads and who executes, and why."""
