package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// Args are the arguments of the no-op job, about 100 bytes of JSON. All systems encode and decode
// them, but for the pools, which have no need to.
type Args struct {
	Number int    `json:"number"` // counts the jobs of a run
	Path   string `json:"path"`
	Sizes  [3]int `json:"sizes"`
	Note   string `json:"note,omitempty"` // makes large arguments large
}

func newArgs(number, size int) Args {
	args := Args{Number: number, Path: "/srv/photos/2026/07/an-ordinary-name.jpeg", Sizes: [3]int{320, 1280, 3840}}
	if size > defaultArgs {
		args.Note = strings.Repeat("x", size-defaultArgs)
	}
	return args
}

const defaultArgs = 100 // bytes

// A system is something that stores jobs and works on them: this module, or one of its peers.
type system interface {
	// insert makes n jobs in one transaction, the first one with this number. When it returns,
	// they are as durable as the system makes them.
	insert(ctx context.Context, first, n int) error
	// start begins to work on jobs. It is called once.
	start() error
	// left returns how many jobs have not ended durably.
	left(ctx context.Context) (int, error)
	// close ends all work and lets go of all files.
	close() error
}

// Settings are what a system is opened with.
type settings struct {
	dir      string // for its files
	file     string // of package bolt, if it is made already
	postgres string // URL
	workers  int
	argBytes int
	full     bool          // SQLite with synchronous=FULL
	raw      bool          // the handler does not decode its arguments
	spent    *atomic.Int64 // on transactions of package bolt, in ns; nil if that is not asked for
	handle   func(number int)
}

// A maker opens a system.
type maker struct {
	name    string
	open    func(context.Context, settings) (system, error)
	full    bool   // see settings
	workers int    // with which it was fastest, of 2, 16, 64, 256, 1,024 and 4,096
	durable string // what it makes durable when, for the notes
	modules []string
	options string // its settings, for the notes
}

// Names of systems that the code treats in a special way.
const (
	ours       = "jobs"
	oursMemory = "jobs/memory"
	ceiling    = "ceiling"
	postgresDB = "river/postgres"
)

const (
	sqliteNormal = "WAL, synchronous=NORMAL as its driver has it: syncs at checkpoints only, so a power cut loses what was acknowledged"
	sqliteFull   = "WAL, synchronous=FULL: each commit is synced"
)

// makers are all systems but for the ceiling, in the order of the table.
var makers = []maker{
	{name: ours, open: openBolt, workers: 64, durable: "each commit is synced", modules: []string{"go.etcd.io/bbolt"}, options: "package bolt; defaults"},
	{name: "goqite", open: openGoqite, workers: 1024, durable: sqliteNormal, modules: []string{"maragu.dev/goqite", sqliteDriver}, options: goqiteOptions},
	{name: "goqite/full", open: openGoqite, workers: 1024, full: true, durable: sqliteFull, modules: []string{"maragu.dev/goqite", sqliteDriver}, options: goqiteOptions},
	{name: "backlite", open: openBacklite, workers: 1024, durable: sqliteNormal, modules: []string{"github.com/mikestefanello/backlite", sqliteDriver}, options: backliteOptions},
	{name: "backlite/full", open: openBacklite, workers: 1024, full: true, durable: sqliteFull, modules: []string{"github.com/mikestefanello/backlite", sqliteDriver}, options: backliteOptions},
	{name: "river/sqlite", open: openRiverSQLite, workers: 64, durable: sqliteNormal, modules: []string{"github.com/riverqueue/river", sqliteDriver}, options: riverSQLiteOptions},
	{name: "river/sqlite/full", open: openRiverSQLite, workers: 64, full: true, durable: sqliteFull, modules: []string{"github.com/riverqueue/river", sqliteDriver}, options: riverSQLiteOptions},
	{name: postgresDB, open: openRiverPostgres, workers: 1024, durable: "each commit is synced (synchronous_commit=on), in a server process", modules: []string{"github.com/riverqueue/river", "github.com/jackc/pgx/v5"}, options: riverPostgresOptions},
	{name: oursMemory, open: openMemory, durable: "nothing", options: "package memory; defaults"},
	{name: "pond", open: openPond, durable: "nothing; keeps no state of jobs", modules: []string{"github.com/alitto/pond/v2"}, options: "NewPool(workers), unbounded queue"},
	{name: "channel pool", open: openPool, durable: "nothing; keeps no state of jobs", options: "goroutines that receive from a channel of capacity 1,024"},
}

const sqliteDriver = "github.com/mattn/go-sqlite3"

// The sets of systems that scenarios compare.
var (
	durable     = []string{ours, ceiling, "goqite", "goqite/full", "backlite", "backlite/full", "river/sqlite", "river/sqlite/full", postgresDB}
	synced      = []string{ours, ceiling, "goqite/full", "backlite/full", "river/sqlite/full", postgresDB}
	measured    = []string{ours, ceiling}
	peers       = []string{ours, "goqite", "goqite/full", "backlite", "backlite/full", "river/sqlite", "river/sqlite/full", postgresDB}
	simple      = []string{ours, "goqite/full", "backlite/full"}
	onlyOurs    = []string{ours}
	memoryPeers = []string{oursMemory, "pond", "channel pool"}

	// likeForLike are the embedded peers that make durable what this module does.
	likeForLike = []string{"goqite/full", "backlite/full", "river/sqlite/full"}
)

func (s *settings) open(ctx context.Context, name string) (system, error) {
	m := makerOf(name)
	if m == nil {
		return nil, fmt.Errorf("there is no system %q", name)
	}
	s.full = m.full
	sys, err := m.open(ctx, *s)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return sys, nil
}

func makerOf(name string) *maker {
	if i := slices.IndexFunc(makers, func(m maker) bool { return m.name == name }); i >= 0 {
		return &makers[i]
	}
	return nil
}

func (s *settings) path(name string) string {
	if s.file != "" {
		return s.file
	}
	return filepath.Join(s.dir, name)
}
