//go:build linux || darwin

package recording

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"govla/internal/testenv"
)

// beLimited is the environment variable that turns this test binary into a program whose
// files cannot grow beyond 40 kB, as on a disk that becomes full, and which records into
// the folder that is its value.
const beLimited = "GOVLA_TEST_BE_LIMITED"

// recordLimited records an episode that fits, one that does not, and one that does.
func recordLimited(value string) error {
	dtype, dir, _ := strings.Cut(value, " ")
	signal.Ignore(syscall.SIGXFSZ) // in ffmpeg too: the write fails instead
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 40 << 10, Max: 40 << 10}); err != nil {
		return err
	}
	ctx := context.Background()
	w, err := Create(ctx, dir, cameraInfo(dtype, map[string]string{"video": "h264"}[dtype]))
	if err != nil {
		return err
	}
	noise := rand.New(rand.NewPCG(5, 6))
	for i, e := range []testEpisode{cameraEpisode(0, 3), noiseEpisode(noise, 40), cameraEpisode(1, 3)} {
		err := w.BeginEpisode(ctx, e.task)
		for _, frame := range e.frames {
			if err == nil {
				err = w.Add(ctx, frame)
			}
		}
		if ended := w.EndEpisode(); err == nil || ended != nil {
			err = ended
		}
		fmt.Println(err)
		if full := i == 1; full != (err != nil) {
			return fmt.Errorf("episode %d: have error %w", i, err)
		}
	}
	return errors.Join(w.Close(ctx), errRecorded)
}

// errRecorded says that a program of these tests did all that it had to.
var errRecorded = errors.New("recorded")

// When the disk is full the error names the file, the episode is lost, and the recording
// goes on when there is room again.
func TestWriterDiskFull(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for dtype, says := range map[string]string{"image": "rows.parquet: file too large", "video": "observation.images.top.mp4"} {
		if dtype == "video" {
			testenv.Tool(t, "ffmpeg")
		}
		dir := filepath.Join(t.TempDir(), "arm")
		command := exec.CommandContext(t.Context(), program)
		command.Env = append(os.Environ(), beLimited+"="+dtype+" "+dir)
		out, _ := command.CombinedOutput() // it ends with an error in any case
		if !strings.Contains(string(out), says) || !strings.HasSuffix(strings.TrimSpace(string(out)), errRecorded.Error()) {
			t.Errorf("%s: have %s, want it to name %s and to go on", dtype, out, says)
		}
		checkHolds(t, checkSound(t, dir), []testEpisode{cameraEpisode(0, 3), cameraEpisode(1, 3)})
	}
}
