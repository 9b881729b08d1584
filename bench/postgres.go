package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// startPostgres makes a PostgreSQL cluster in dir, on a free port of the loopback interface, with
// its default settings, and returns its URL. The programs initdb, postgres and pg_ctl must be in
// PATH. A server that is to have slower syncs has to be started by this program.
func startPostgres(ctx context.Context, dir string, delay time.Duration) (url string, stop func() error, err error) {
	data := filepath.Join(dir, "postgres"+delaySuffix(delay))
	if err := os.Mkdir(data, 0o700); err != nil {
		return "", nil, err
	}
	who, err := unprivileged(dir, data)
	if err != nil {
		return "", nil, err
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(context.WithoutCancel(ctx), args[0], args[1:]...)
		cmd.Dir, cmd.SysProcAttr = data, who
		return cmd
	}
	if out, err := command("initdb", "--no-sync", "-A", "trust", "-U", "bench", "-D", data).CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	server := command(append(delayed(delay), "postgres", "-D", data, "-h", "127.0.0.1", "-p", port, "-k", "")...)
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error {
		err := command("pg_ctl", "stop", "-D", data, "-m", "fast").Run()
		return errors.Join(err, server.Wait())
	}
	url = "postgres://bench@127.0.0.1:" + port + "/postgres"
	if err := answers(ctx, url); err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return url, stop, nil
}

// unprivileged returns how to run a process as a user that is not root, which PostgreSQL insists
// on, and gives the user the directory data in dir.
func unprivileged(dir, data string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(nobody.Gid)
	if err != nil {
		return nil, err
	}
	who := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return who, errors.Join(os.Chmod(dir, 0o711), os.Chown(data, uid, gid))
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// answers waits until a server answers.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
