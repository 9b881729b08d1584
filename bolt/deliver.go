package bolt

import (
	"sync"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/internal/kv"
	"github.com/embedjobs/jobs/internal/notify"
)

// deliveries tells subscribers of commits in their order. There is one writing transaction at a
// time, but bbolt lets the next one in before the previous one has told anybody. So what a
// transaction has to tell is left here before it commits, and whoever writes next delivers it
// first.
//
// A transaction of the host may also be rolled back, of which bbolt tells nobody. Then the next
// one has the same ID; after a commit it has a greater one.
type deliveries struct {
	to *notify.List

	mu   sync.Mutex
	open *delivery // nil if there is none
}

type delivery struct {
	id      int // of the transaction
	changes []jobs.Change

	// Of a transaction of the host.
	btx    *bbolt.Tx
	tx     kv.Tx
	handle *kv.Handle
}

// begin must be called when a writing transaction has begun.
func (d *deliveries) begin(id int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(id)
}

// settle delivers what an earlier transaction than id has committed, and forgets what was rolled
// back. It must be called with mu held.
func (d *deliveries) settle(id int) {
	if d.open != nil && d.open.id < id {
		d.deliver()
	}
	d.open = nil
}

// deliver must be called with mu held.
func (d *deliveries) deliver() {
	o := d.open
	d.open = nil
	if o.btx != nil {
		d.to.Call(o.tx.Changes())
	} else {
		d.to.Call(o.changes)
	}
}

// announce leaves what the transaction is about to commit. After it, committed or drop must be
// called with what it returns: the ID will not do, because what follows a failed commit, such as a
// transaction of the host that is at work already, has the same one.
func (d *deliveries) announce(id int, changes []jobs.Change) *delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = &delivery{id: id, changes: changes}
	return d.open
}

func (d *deliveries) committed(o *delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == o {
		d.deliver()
	}
}

func (d *deliveries) drop(o *delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == o {
		d.open = nil
	}
}

// host returns the jobs.Tx of a writing transaction of the host, always the same for the same one.
func (d *deliveries) host(btx *bbolt.Tx, name []byte) jobs.Tx {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil && d.open.btx == btx {
		return d.open.handle
	}
	d.settle(btx.ID())
	b := new(backend)
	if err := b.begin(btx, name); err != nil {
		return kv.Dead(err)
	}
	o := &delivery{id: btx.ID(), btx: btx}
	o.tx.Begin(b, kv.Through)
	o.handle = kv.NewHandle(&o.tx)
	d.open = o
	btx.OnCommit(func() {
		d.committed(o)
		o.handle.End()
	})
	return o.handle
}
