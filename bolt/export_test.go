package bolt

import "go.etcd.io/bbolt"

// SetUp does what New does, with the given upgrades.
func SetUp(db *bbolt.DB, upgrades []func(*bbolt.Bucket) error) (session uint64, err error) {
	s := &Store{db: db, name: []byte("jobs")}
	err = s.setUp(upgrades)
	return s.session, err
}

// Waiting returns the number of calls that wait for the next commit.
func (s *Store) Waiting() int { return s.queue.Waiting() }

// FailCommit begins to tell of a commit, and returns what a failure of the commit does.
func (s *Store) FailCommit(id int) (fail func()) {
	o := s.deliveries.announce(id, nil)
	return func() { s.deliveries.drop(o) }
}
