"""What a run is (config), what a run says (events), where a run lives (rundir). No torch, no terminal."""
