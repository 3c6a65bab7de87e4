package recording

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// workFolder is where a writer keeps what is not part of the recording yet. Whatever it
// holds may be deleted while nobody writes.
const workFolder = ".writing"

// ErrLocked means that another writer has the recording.
var ErrLocked = errors.New("another writer has the recording open")

// folderLock keeps other writers out of a folder. It ends with the process.
type folderLock struct{ handle *os.File }

// lockFolder locks the folder dir, which must exist; its error wraps ErrLocked where
// another writer has it.
func lockFolder(dir string) (*folderLock, error) {
	for {
		handle, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		if err := tryLock(handle); err != nil {
			handle.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		// An edit puts another folder in the place of the old one: the lock counts only
		// if the folder opened is still the one of that name.
		opened, err := handle.Stat()
		if err == nil {
			var named os.FileInfo
			if named, err = os.Stat(dir); err == nil && os.SameFile(opened, named) {
				return &folderLock{handle}, nil
			}
		}
		handle.Close()
		if err != nil {
			return nil, err
		}
	}
}

func (l *folderLock) unlock() { _ = l.handle.Close() }

// exchange puts the folder fresh in the place of the folder old, and old in that of fresh.
// Where the system can, there is no moment at which old's place is empty or half full.
func exchange(fresh, old string) error {
	if err := exchangeNames(fresh, old); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return exchangeByRenames(fresh, old)
}

// exchangeByRenames is exchange with a moment at which there is no folder old.
func exchangeByRenames(fresh, old string) error {
	aside := asideOf(old)
	if err := os.Rename(old, aside); err != nil {
		return err
	}
	if err := os.Rename(fresh, old); err != nil {
		return errors.Join(err, os.Rename(aside, old))
	}
	return os.Rename(aside, fresh)
}

// asideOf is where exchangeByRenames keeps the folder old while its place is empty.
func asideOf(old string) string { return hiddenSibling(old, ".old") }

// recoverFolder undoes an exchange that was killed between its renames.
func recoverFolder(dir string) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := os.Rename(asideOf(dir), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there is nothing to undo
	}
	return err
}

// lockRecording locks the recording in the folder dir, mends what a killed writer left
// unfinished, and returns the folder's own path.
func lockRecording(dir string) (string, *folderLock, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, err
	}
	if err := recoverFolder(dir); err != nil {
		return "", nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return "", nil, err
	}
	if err := recoverFolder(filepath.Join(dir, "meta")); err != nil {
		lock.unlock()
		return "", nil, err
	}
	return dir, lock, nil
}

// hiddenSibling names a hidden neighbour of path.
func hiddenSibling(path, suffix string) string {
	return filepath.Join(filepath.Dir(path), "."+strings.TrimPrefix(filepath.Base(path), ".")+suffix)
}

// syncFolder brings the names in a folder to the disk.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" { // has no such thing
		return nil
	}
	handle, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer handle.Close()
	return handle.Sync()
}

// moveInto renames a finished file, making the folder of its new name.
func moveInto(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(to))
}

// writeSynced writes a file and brings it to the disk.
func writeSynced(path string, content []byte) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// link gives a file a second name, or copies it where that cannot be. The file must never
// change afterwards.
func link(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	return copyFile(from, to)
}

// copyFile copies a file and brings the copy to the disk.
func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, source)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// linkStrangers gives what lies in the folder from, and is not one of the names that ours
// reports, a second name in the folder to.
func linkStrangers(from, to string, ours func(name string) bool) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if ours(entry.Name()) {
			continue
		}
		root := filepath.Join(from, entry.Name())
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(from, path)
			if err != nil {
				return err
			}
			target := filepath.Join(to, relative)
			switch {
			case d.IsDir():
				return os.MkdirAll(target, 0o755)
			case d.Type()&fs.ModeSymlink != 0:
				points, err := os.Readlink(path)
				if err != nil {
					return err
				}
				return os.Symlink(points, target)
			case d.Type().IsRegular():
				return link(path, target)
			}
			return nil // sockets and pipes have no content to keep
		})
		if err != nil {
			return err
		}
	}
	return nil
}
