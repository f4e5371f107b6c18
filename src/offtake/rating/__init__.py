"""The one calculator of charges: invoice, forecast and plan all call it."""
