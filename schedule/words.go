package schedule

import "fmt"

// String ...
func (s *Schedule) String() string { return fmt.Sprint(s.Cron) }
