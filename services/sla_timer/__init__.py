"""sla_timer: the clocks of every ticket, their warnings, and who hears of them."""
