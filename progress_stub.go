package jobs

type Report struct{}

func (r *Report) Clone() *Report { return r }
