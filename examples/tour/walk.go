package main

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/embedjobs/jobs"
)

// walk calls visit for the regular files below dir that come after a path, in lexical order, with
// their slash-separated paths below dir. When visit returns false, walk stops and reports that
// there may be more. Directories of version control are left out, and what cannot be read is
// logged and left out.
func walk(ctx context.Context, dir, after string, visit func(path string, size int64) (bool, error)) (more bool, err error) {
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && name == dir {
			return err
		}
		path, relErr := filepath.Rel(dir, name)
		switch {
		case relErr != nil:
			return relErr
		case path == ".":
			return nil
		case err != nil:
			jobs.Logger(ctx).Warn("cannot be read", "path", path, "err", err)
			return nil
		case !utf8.ValidString(path): // JSON would change it
			jobs.Logger(ctx).Warn("its name is not UTF-8", "path", strings.ToValidUTF8(path, "?"))
			return skip(entry)
		}
		path = filepath.ToSlash(path)
		switch {
		case after != "" && before(path, after, entry.IsDir()):
			return skip(entry)
		case entry.IsDir():
			switch entry.Name() {
			case ".git", ".hg", ".svn", ".jj":
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		info, err := entry.Info()
		if err != nil { // removed since its directory was read
			return nil
		}
		goOn, err := visit(path, info.Size())
		if err == nil && !goOn {
			more = true
			return fs.SkipAll
		}
		return err
	})
	return more, err
}

func skip(entry fs.DirEntry) error {
	if entry != nil && entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// before reports whether nothing at path, or below it if it is a directory, comes after a path.
// The order is that of filepath.WalkDir: name by name, so "a/b" comes before "a.go".
func before(path, after string, isDir bool) bool {
	if isDir && strings.HasPrefix(after, path+"/") {
		return false
	}
	return slices.Compare(strings.Split(path, "/"), strings.Split(after, "/")) <= 0
}
