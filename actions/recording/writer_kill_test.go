//go:build linux || darwin

package recording

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"govla/internal/testenv"
)

// beRecorder is the environment variable that turns this test binary into a program that
// records until it is killed: its value is the dtype of the camera and the folder.
const beRecorder = "GOVLA_TEST_BE_RECORDER"

// beEditor does so for a program that edits the recording again and again.
const beEditor = "GOVLA_TEST_BE_EDITOR"

func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv(beRecorder) != "":
		dtype, dir, _ := strings.Cut(os.Getenv(beRecorder), " ")
		err = recordUntilKilled(dtype, dir)
	case os.Getenv(beLimited) != "":
		err = recordLimited(os.Getenv(beLimited))
	case os.Getenv(beEditor) != "":
		err = editUntilKilled(os.Getenv(beEditor))
	default:
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// recordUntilKilled goes on with a recording, closing it now and then, and prints after
// each episode how many there are.
func recordUntilKilled(dtype, dir string) error {
	ctx := context.Background()
	w, err := Append(ctx, dir)
	if _, missing := os.Stat(filepath.Join(dir, "meta")); missing != nil {
		w, err = Create(ctx, dir, cameraInfo(dtype, map[string]string{"video": "h264"}[dtype]))
	}
	for err == nil {
		number := w.Episodes()
		e := cameraEpisode(number, killLength(number))
		if err = w.BeginEpisode(ctx, e.task); err != nil {
			break
		}
		for _, frame := range e.frames {
			if err = w.Add(ctx, frame); err != nil {
				return err
			}
		}
		if err = w.EndEpisode(); err != nil {
			break
		}
		fmt.Println(w.Episodes())
		if number%3 == 2 {
			if err = w.Close(ctx); err == nil {
				w, err = Append(ctx, dir)
			}
		}
	}
	return err
}

func killLength(number int) int { return 2 + number%4 }

// runUntil runs this test binary as another program, calls killing with each line that it
// prints, and kills it when that returns true.
func runUntil(t *testing.T, variable string, killing func(line string) bool) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program)
	command.Env = append(os.Environ(), variable)
	var trouble strings.Builder
	command.Stderr = &trouble
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !killed && killing(lines.Text()) {
			killed = true
			_ = command.Process.Kill()
		}
	}
	_ = command.Wait()
	if !killed {
		t.Fatalf("the program ended by itself: %s", trouble.String())
	}
}

// A recorder that is killed loses at most the episode in progress, and the next one goes on.
func TestWriterKilled(t *testing.T) {
	for _, dtype := range []string{"image", "video"} {
		t.Run(dtype, func(t *testing.T) {
			if dtype == "video" {
				testenv.Tool(t, "ffmpeg")
			}
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "arm")
			rounds := 6
			if testing.Short() {
				rounds = 3
			}
			have := 0
			for round := range rounds {
				printed := have
				enough := have + 1 + round%3
				runUntil(t, beRecorder+"="+dtype+" "+dir, func(line string) bool {
					printed, _ = strconv.Atoi(line)
					if printed < enough {
						return false
					}
					// Somewhere in the next episode, or in its commit, or while packing.
					time.Sleep(time.Duration(round) * 4 * time.Millisecond)
					return true
				})
				d, err := Open(dir)
				if err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				if have = len(d.Episodes); have < printed {
					t.Fatalf("round %d: have %d episodes, want the %d that were committed", round, have, printed)
				}
				var want []testEpisode
				for i := range have {
					want = append(want, cameraEpisode(i, killLength(i)))
				}
				checkHolds(t, checkSound(t, dir), want)
			}
		})
	}
}

// editUntilKilled deletes the last episode of a recording and adds it again from a copy.
func editUntilKilled(dir string) error {
	ctx := context.Background()
	for {
		d, err := Open(dir)
		if err != nil {
			return err
		}
		if len(d.Episodes) == 3 {
			err = DeleteEpisodes(ctx, dir, []int{2}, nil)
		} else {
			err = Extend(ctx, dir, []string{dir + "-last"}, nil)
		}
		if err != nil {
			return err
		}
		fmt.Println("edited")
	}
}

// An edit that is killed leaves the old recording or the new one.
func TestEditKilled(t *testing.T) {
	var e []testEpisode
	for i := range 3 {
		e = append(e, cameraEpisode(i, 4+i))
	}
	dir := record(t, cameraInfo("image", ""), e...)
	if err := Split(t.Context(), dir, []Part{{dir + "-last", []int{2}}}, nil); err != nil {
		t.Fatal(err)
	}
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		seen := 0
		runUntil(t, beEditor+"="+dir, func(string) bool {
			seen++
			time.Sleep(time.Duration(round) * 3 * time.Millisecond)
			return seen > round%3
		})
		d := checkSound(t, dir)
		checkHolds(t, d, e[:len(d.Episodes)])
		if len(d.Episodes) < 2 {
			t.Fatalf("round %d: have %d episodes, want 2 or 3", round, len(d.Episodes))
		}
	}
	if err := Extend(t.Context(), dir, []string{dir + "-last"}, nil); err != nil {
		t.Fatal(err)
	}
	checkNothingHidden(t, filepath.Dir(dir))
}
