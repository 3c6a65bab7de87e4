package main

import (
	"path/filepath"
	"slices"
	"testing"
)

// A policy begins, another takes over, and only the latter is recorded: from where the robot
// was then, without a seed to repeat it by, and the same every time.
func TestRecordTakesOver(t *testing.T) {
	beginner := writePolicy(t, "flow", 2, nil)
	plain := recorded(t, 4, "--seed", "7")
	_, fromReset := loadAll(t, plain)
	dir := recorded(t, 2, "--seed", "7", "--take-over-from", beginner)
	vla(t, "", "record", "--env", "pusht", "--teleop", writePolicy(t, "flow", 1, nil), "--take-over-from", beginner,
		"--episodes", "2", "--out", dir, "--resume").succeed(t)
	_, rows := loadAll(t, dir)
	again := recorded(t, 4, "--seed", "7", "--take-over-from", beginner, "--parallel", "1")
	sameRecording(t, again, dir)

	moved := 0
	for e := range 4 {
		first := rows.EpisodeStarts[e]
		if seed := rows.Columns["seed"].Row(first)[0]; seed != float32(-1-7-e) {
			t.Errorf("episode %d has the seed %v in its rows, want %d", e, seed, -1-7-e)
		}
		if !slices.Equal(rows.Columns["observation.state"].Row(first), fromReset.Columns["observation.state"].Row(fromReset.EpisodeStarts[e])) {
			moved++
		}
	}
	if moved < 3 { // one might have been taken over at once
		t.Errorf("%d of 4 episodes begin elsewhere than after the reset", moved)
	}
	vla(t, "", "replay", dir, "--env", "pusht", "--png", filepath.Join(t.TempDir(), "p.png")).succeed(t)

	for _, more := range [][]string{{"--rate", "10"}, {"--transport", "nats"}, {"--take-over-from", "nowhere"}} {
		vla(t, "", append([]string{"record", "--env", "pusht", "--out", filepath.Join(t.TempDir(), "x"), "--take-over-from", beginner}, more...)...).fail(t)
	}
}
