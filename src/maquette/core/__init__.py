"""The words everything else speaks: errors, images, specs, conditions, noise, events, settings. No torch here."""
