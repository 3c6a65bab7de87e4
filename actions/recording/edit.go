package recording

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// The edits below never change a recording's files. They write a new folder beside it,
// hidden, which then takes the place of the old one in one step: an edit that is killed
// leaves the old recording or the new one. Videos are cut and joined without encoding
// them again wherever an episode begins with a key frame, as in what a Writer wrote.
//
// progress, which may be nil, is called with how many episodes of how many are copied.

// Merge makes a new recording, in the folder out, of the episodes of others, one
// recording behind the other. They must have the same features, rate and robot. One
// recording alone is written anew, as v3.0 and with as few files as its limits allow.
func Merge(ctx context.Context, out string, dirs []string, progress func(done, total int)) error {
	err := func() error {
		datasets, picks, err := openAll(ctx, dirs)
		if err != nil {
			return err
		}
		return makeNew(ctx, []newRecording{{out, picks}}, datasets[0], progress)
	}()
	if err != nil {
		return fmt.Errorf("merge into %s: %w", out, err)
	}
	return nil
}

// Part is a recording that Split makes.
type Part struct {
	Dir      string
	Episodes []int // positions in Dataset.Episodes
}

// Split makes new recordings of parts of the one in dir. Each of them appears whole.
func Split(ctx context.Context, dir string, parts []Part, progress func(done, total int)) error {
	err := func() error {
		d, err := open(dir)
		if err != nil {
			return err
		}
		var recordings []newRecording
		for _, part := range parts {
			for _, at := range part.Episodes {
				if at < 0 || at >= len(d.Episodes) {
					return fmt.Errorf("have no episode %d among %d", at, len(d.Episodes))
				}
			}
			picks, err := pickAll(ctx, d, append([]int{}, part.Episodes...)...)
			if err != nil {
				return err
			}
			recordings = append(recordings, newRecording{part.Dir, picks})
		}
		return makeNew(ctx, recordings, d, progress)
	}()
	if err != nil {
		return fmt.Errorf("split %s: %w", dir, err)
	}
	return nil
}

// Extend adds the episodes of other recordings to the one in dir.
func Extend(ctx context.Context, dir string, others []string, progress func(done, total int)) error {
	err := edit(ctx, dir, progress, func(d *Dataset) ([]picked, bool, error) {
		picks, err := pickAll(ctx, d)
		if err != nil {
			return nil, false, err
		}
		datasets, more, err := openAll(ctx, others)
		if err != nil {
			return nil, false, err
		}
		for _, other := range datasets {
			if err := sameKind(d, other); err != nil {
				return nil, false, err
			}
		}
		return append(picks, more...), true, nil
	})
	if err != nil {
		return fmt.Errorf("append to %s: %w", dir, err)
	}
	return nil
}

// DeleteEpisodes removes the episodes at the given positions in Dataset.Episodes, with
// their images, and counts the others anew.
func DeleteEpisodes(ctx context.Context, dir string, positions []int, progress func(done, total int)) error {
	err := edit(ctx, dir, progress, func(d *Dataset) ([]picked, bool, error) {
		for _, at := range positions {
			if at < 0 || at >= len(d.Episodes) {
				return nil, false, fmt.Errorf("have no episode %d among %d", at, len(d.Episodes))
			}
		}
		picks, err := pickAll(ctx, d)
		if err != nil {
			return nil, false, err
		}
		return slices.DeleteFunc(picks, func(p picked) bool { return slices.Contains(positions, p.at) }), true, nil
	})
	if err != nil {
		return fmt.Errorf("delete episodes of %s: %w", dir, err)
	}
	return nil
}

// pack joins the small files of a recording that the caller has locked.
func pack(ctx context.Context, dir string) error {
	d, err := open(dir)
	if err != nil {
		return err
	}
	needed, err := d.scattered()
	if err != nil || !needed {
		return err
	}
	return replace(ctx, dir, d, nil, func(d *Dataset) ([]picked, bool, error) {
		picks, err := pickAll(ctx, d)
		return picks, true, err
	})
}

// scattered reports whether two neighbouring files are so small that an edit joins them.
func (d *Dataset) scattered() (bool, error) {
	joins := func(limit int, file func(Episode) string) (bool, error) {
		previous, small := "", false
		for _, e := range d.Episodes {
			name := file(e)
			if name == previous {
				continue
			}
			stat, err := os.Stat(filepath.Join(d.Dir, filepath.FromSlash(name)))
			if err != nil {
				return false, missingFile(name, err)
			}
			before := small
			if small = stat.Size() < int64(limit)<<19; small && before { // half of the limit
				return true, nil
			}
			previous = name
		}
		return false, nil
	}
	needed, err := joins(megabytes(d.Info.DataFilesMB, defaultDataFiles), func(e Episode) string { return e.File })
	for name, f := range d.Info.Features {
		if f.DType != "video" || needed || err != nil {
			continue
		}
		needed, err = joins(megabytes(d.Info.VideoFilesMB, defaultVideoFiles), func(e Episode) string { return e.Videos[name].File })
	}
	return needed, err
}

// openAll opens recordings of one kind and picks all their episodes.
func openAll(ctx context.Context, dirs []string) ([]*Dataset, []picked, error) {
	if len(dirs) == 0 {
		return nil, nil, errors.New("have no recording to take episodes from")
	}
	var datasets []*Dataset
	var picks []picked
	for _, dir := range dirs {
		d, err := Open(dir)
		if err != nil {
			return nil, nil, err
		}
		if len(datasets) > 0 {
			if err := sameKind(datasets[0], d); err != nil {
				return nil, nil, err
			}
		}
		datasets = append(datasets, d)
		more, err := pickAll(ctx, d)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", dir, err)
		}
		picks = append(picks, more...)
	}
	return datasets, picks, nil
}

// sameKind returns an error unless episodes of b can stand behind those of a.
func sameKind(a, b *Dataset) error {
	wrong := func(what string, have, want any) error {
		return fmt.Errorf("%s: have %s %v, want %v, as in %s", b.Dir, what, have, want, a.Dir)
	}
	switch {
	case a.Info.FPS != b.Info.FPS:
		return wrong("a rate of", b.Info.FPS, a.Info.FPS)
	case a.Info.Robot != b.Info.Robot:
		return wrong("robot", b.Info.Robot, a.Info.Robot)
	}
	for name, f := range a.Info.Features {
		g, known := b.Info.Features[name]
		switch {
		case slices.Contains(bookkeeping, name):
		case !known:
			return wrong("no feature", name, "one")
		case f.DType != g.DType || !slices.Equal(f.Shape, g.Shape):
			return wrong("feature "+name+" of", fmt.Sprintf("%s %v", g.DType, g.Shape), fmt.Sprintf("%s %v", f.DType, f.Shape))
		case !f.Camera() && !slices.Equal(f.Names, g.Names):
			return wrong("feature "+name+" of", g.Names, f.Names)
		}
	}
	for name := range b.Info.Features {
		if _, known := a.Info.Features[name]; !known && !slices.Contains(bookkeeping, name) {
			return wrong("a feature", name, "none")
		}
	}
	return nil
}

// newRecording is a recording to be made.
type newRecording struct {
	dir   string
	picks []picked
}

// makeNew makes new recordings like template, in folders that do not exist or are empty.
// All are written before the first gets its name.
func makeNew(ctx context.Context, recordings []newRecording, template *Dataset, progress func(done, total int)) error {
	var hidden []string
	for _, r := range recordings {
		dir, err := filepath.Abs(r.dir)
		if err != nil {
			return err
		}
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(entries) > 0 {
			return fmt.Errorf("%s has %s already, want a new or an empty folder", r.dir, entries[0].Name())
		}
		fresh, lock, err := freshFolder(dir)
		if err != nil {
			return err
		}
		defer lock.unlock()
		defer os.RemoveAll(fresh)
		hidden = append(hidden, fresh)
		if err := copyEpisodes(ctx, fresh, template, r.picks, false, progress); err != nil {
			return fmt.Errorf("%s: %w", r.dir, err)
		}
	}
	for i, r := range recordings {
		if err := os.Rename(hidden[i], r.dir); err != nil {
			return err
		}
		if err := syncFolder(filepath.Dir(hidden[i])); err != nil {
			return err
		}
	}
	return nil
}

// freshFolder makes the empty hidden folder in which the recording dir is written, which
// may hold what a killed edit left, and locks it.
func freshFolder(dir string) (fresh string, lock *folderLock, err error) {
	fresh = hiddenSibling(dir, ".new")
	if err := os.MkdirAll(fresh, 0o755); err != nil {
		return "", nil, err
	}
	left, err := lockFolder(fresh)
	if err != nil {
		return "", nil, err
	}
	defer left.unlock()
	if err := os.RemoveAll(fresh); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(fresh, 0o755); err != nil {
		return "", nil, err
	}
	lock, err = lockFolder(fresh)
	return fresh, lock, err
}

// edit replaces the recording in dir by one with the episodes that choose returns.
func edit(ctx context.Context, dir string, progress func(done, total int), choose func(d *Dataset) ([]picked, bool, error)) error {
	dir, lock, err := lockRecording(dir)
	if err != nil {
		return err
	}
	defer lock.unlock()
	d, err := open(dir)
	if err != nil {
		return err
	}
	return replace(ctx, dir, d, progress, choose)
}

// replace is edit for a folder that the caller has locked by lockRecording.
func replace(ctx context.Context, dir string, d *Dataset, progress func(done, total int), choose func(d *Dataset) ([]picked, bool, error)) error {
	picks, stable, err := choose(d)
	if err != nil {
		return err
	}
	fresh, lock, err := freshFolder(dir)
	if err != nil {
		return err
	}
	defer lock.unlock()
	defer os.RemoveAll(fresh) // in the end the old recording
	if err := copyEpisodes(ctx, fresh, d, picks, stable, progress); err != nil {
		return err
	}
	if err := linkStrangers(dir, fresh, oursInRecording); err != nil {
		return err
	}
	if err := linkStrangers(filepath.Join(dir, "meta"), filepath.Join(fresh, "meta"), oursInMeta); err != nil {
		return err
	}
	if err := syncFolder(fresh); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := exchange(fresh, dir); err != nil {
		return fmt.Errorf("replace %s: %w", dir, err)
	}
	return syncFolder(filepath.Dir(dir))
}

// oursInRecording reports whether a name in a recording's folder is one of LeRobotDataset.
func oursInRecording(name string) bool {
	return slices.Contains([]string{"meta", "data", "videos", "images", workFolder}, name)
}
