package jobs

// AbandonChildren does what a Cancel does that dies before it has come to the children.
func AbandonChildren(tx Tx, id ID) error {
	parent, err := tx.Job(id)
	if err != nil {
		return err
	}
	return abandonChildren(tx, parent)
}
