package jobs

// What the tests of this package reach into.

func NewTrackerHook(name string, changed func()) *Tracker { return newTracker(name, changed) }

func (t *Tracker) Take() *Report { return t.take() }

func (t *Tracker) Close() { t.close() }
