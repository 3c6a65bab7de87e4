package recording

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// readTasks returns the instructions by task_index, from meta/tasks.parquet or, in v2,
// meta/tasks.jsonl.
func readTasks(ctx context.Context, dir string, info *Info) (map[int]string, error) {
	name := "meta/tasks.parquet"
	if info.major() == 2 || !exists(dir, name) && exists(dir, "meta/tasks.jsonl") {
		return readTaskLines(dir, "meta/tasks.jsonl")
	}
	p, err := openParquet(dir, name)
	if err != nil {
		return nil, err
	}
	defer p.Close()

	// pandas writes the index of a frame as __index_level_0__ unless it was given a name.
	column := "task"
	if !p.has(column) {
		column = "__index_level_0__"
	}
	if !p.has(column) {
		return nil, &Defect{File: name, Column: "task", Found: fmt.Sprintf("only the columns %v", p.columns()), Expected: "a column task or __index_level_0__"}
	}
	words, err := p.readStrings(ctx, column)
	if err != nil {
		return nil, err
	}
	indexes, err := p.readInts(ctx, "task_index", 0, p.rows, nil)
	if err != nil {
		return nil, err
	}
	tasks := make(map[int]string)
	for row, index := range indexes {
		if len(words[row]) != 1 {
			return nil, &Defect{File: name, Column: column, Row: new(row), Found: fmt.Sprintf("%d strings", len(words[row])), Expected: "one"}
		}
		tasks[index] = words[row][0]
	}
	return tasks, nil
}

func readTaskLines(dir, name string) (map[int]string, error) {
	tasks := make(map[int]string)
	type line struct {
		Index *int    `json:"task_index"`
		Task  *string `json:"task"`
	}
	err := readLines(dir, name, func(l line) error {
		if l.Index == nil || l.Task == nil {
			return &Defect{File: name, Found: "a line without them", Expected: "task_index and task"}
		}
		tasks[*l.Index] = *l.Task
		return nil
	})
	return tasks, err
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
	return err == nil
}
