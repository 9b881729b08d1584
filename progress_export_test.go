package jobs

// What the tests of Tracker reach into.

func (t *Tracker) OnChange(fn func()) { t.onChange(fn) }

func (t *Tracker) Take() *Report { return t.take() }

func (t *Tracker) Close() { t.close() }
