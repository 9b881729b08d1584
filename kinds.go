package jobs

import "time"

// A kind is the children of a job that have the same title, with the sum of what those have counted
// that have ended. What a child's own children have counted adds to the kinds of these.
type kind struct {
	Title string `json:"title"`
	Jobs  int64  `json:"jobs,omitempty"`  // 0 if only children of children have that title
	Known int64  `json:"known,omitempty"` // of Jobs those that have ended: they add no more to Total
	// Fixed says that the parent has set the total, so that those of its own children do not add to it.
	Fixed   bool      `json:"fixed,omitempty"`
	Current int64     `json:"current,omitempty"`
	Total   int64     `json:"total,omitempty"`
	Base    int64     `json:"base,omitempty"`
	Parts   bool      `json:"parts,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
	growing bool      // children of children add to Total yet
}

// maxKinds is how many kinds are kept of the children of a job. A brood is written at each end of a
// child, so it stays small. Children of further titles are not summed up.
const maxKinds = 20

// kind returns the children of that title, or nil.
func (b *brood) kind(title string) *kind {
	for i := range b.Kinds {
		if b.Kinds[i].Title == title {
			return &b.Kinds[i]
		}
	}
	return nil
}

// makeKind returns the children of that title, which are none at first, or nil if there are too many
// kinds.
func (b *brood) makeKind(title string) *kind {
	if k := b.kind(title); k != nil {
		return k
	}
	if len(b.Kinds) == maxKinds {
		return nil
	}
	b.Kinds = append(b.Kinds, kind{Title: title})
	return &b.Kinds[len(b.Kinds)-1]
}

// fix takes the totals over that the parent's own progress has for kinds of its children.
func (b *brood) fix(own *Report) {
	if own == nil {
		return
	}
	for _, node := range own.Children {
		if k := b.kind(node.Name); k != nil && node.Total > 0 {
			k.Fixed = true
			k.Total += node.Total
		}
	}
}

// sum adds n times what a child has counted itself, and what its own children have.
func (b *brood) sum(title string, own *Report, kids *brood, n int64) {
	if k := b.makeKind(title); k != nil && own != nil {
		total := own.Total
		if k.Fixed {
			total = 0
		}
		k.add(&kind{
			Current: own.Current, Total: total, Base: own.Base, Parts: own.Parts, Started: own.Started, Updated: own.Updated,
		}, n)
	}
	if kids == nil {
		return
	}
	for i := range kids.Kinds {
		if k := b.makeKind(kids.Kinds[i].Title); k != nil {
			k.add(&kids.Kinds[i], n)
			k.growing = k.growing || kids.Kinds[i].open()
		}
	}
}

func (k *kind) add(other *kind, n int64) {
	k.Current += n * other.Current
	k.Total += n * other.Total
	k.Base += n * other.Base
	k.Parts = k.Parts || other.Parts
	if k.Started.IsZero() || !other.Started.IsZero() && other.Started.Before(k.Started) {
		k.Started = other.Started
	}
	if other.Updated.After(k.Updated) {
		k.Updated = other.Updated
	}
}

// open reports whether Total may yet grow, because there are children that have not begun.
func (k *kind) open() bool { return k.growing || !k.Fixed && k.Known < k.Jobs }

// report returns the node of a kind.
func (k *kind) report() *Report {
	return &Report{
		Name: k.Title, Current: k.Current, Total: k.Total, Base: k.Base, Parts: k.Parts,
		Open: k.open(), Started: k.Started.UTC(), Updated: k.Updated.UTC(),
	}
}

// ownWork returns what a job with children has counted itself, or nil if that is nothing: its
// progress without the nodes whose totals are those of kinds of children.
func (b *brood) ownWork(progress *Report) *Report {
	if progress == nil {
		return nil
	}
	own := *progress
	own.Name, own.Children = "own work", nil
	var current, total, fixed int64
	for _, node := range progress.Children {
		current, total = current+node.Current, total+node.Total
		if k := b.kind(node.Name); k != nil && k.Fixed && node.Current == 0 {
			fixed += node.Total
			continue
		}
		own.Children = append(own.Children, node)
	}
	if own.Current == current && own.Total == total { // it is the sum of its children
		own.Total -= fixed
	}
	if own.Total == 0 && own.Current == 0 && own.Status == "" && len(own.Children) == 0 {
		return nil
	}
	return &own
}
