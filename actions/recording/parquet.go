package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// parquetFile is the border to parquet-go: what the library returns, and what it panics
// with on corrupt files, leaves here as a Defect that names the file.
type parquetFile struct {
	name   string // relative to the dataset's folder, with slashes
	rows   int
	leaves []leaf
	file   *os.File
	groups []parquet.RowGroup
}

// leaf is a physical column; a top-level column has one, or as a structure several.
type leaf struct {
	path  []string // the first element names the top-level column
	index int      // among the chunks of a row group
	list  bool     // a row may have any number of values
	kind  parquet.Kind
}

const parquetExpected = "an intact parquet file"

// openParquet opens the file called name in the folder dir. The caller closes it.
func openParquet(dir, name string) (p *parquetFile, err error) {
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, missingFile(name, err)
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	defer recoverCorrupt(name, &err)
	stat, err := file.Stat()
	if err != nil {
		return nil, unreadable(name, err, parquetExpected)
	}
	if err := checkFooter(file, stat.Size()); err != nil {
		return nil, unreadable(name, err, parquetExpected)
	}
	opened, err := parquet.OpenFile(file, stat.Size(),
		parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(1<<17))
	if err != nil {
		return nil, unreadable(name, err, parquetExpected)
	}
	rows := 0
	for _, g := range opened.RowGroups() {
		n := g.NumRows()
		if n < 0 || n > maxRows-int64(rows) {
			return nil, &Defect{File: name, Found: fmt.Sprintf("a row group of %d rows", n), Expected: parquetExpected}
		}
		rows += int(n)
	}
	return &parquetFile{name: name, rows: rows, leaves: leavesOf(opened.Schema()), file: file, groups: opened.RowGroups()}, nil
}

func leavesOf(schema *parquet.Schema) []leaf {
	var leaves []leaf
	for _, path := range schema.Columns() {
		if column, ok := schema.Lookup(path...); ok {
			leaves = append(leaves, leaf{path, column.ColumnIndex, column.MaxRepetitionLevel > 0, column.Node.Type().Kind()})
		}
	}
	return leaves
}

// maxRows bounds the rows of a file, so that sums of row counts never overflow.
const maxRows = 1 << 40

func (p *parquetFile) Close() error { return p.file.Close() }

// missingFile says that info.json or the episodes' metadata promise a file which cannot
// be opened.
func missingFile(name string, err error) *Defect {
	found := err.Error()
	if errors.Is(err, os.ErrNotExist) {
		found = "no such file"
	}
	return &Defect{File: filepath.ToSlash(name), Found: found, Expected: "a file at the path that the metadata name", cause: err}
}

// recoverCorrupt turns a panic of parquet-go into an error.
func recoverCorrupt(name string, err *error) {
	if r := recover(); r != nil {
		*err = &Defect{File: name, Found: fmt.Sprintf("data that parquet-go cannot read: %v", r), Expected: parquetExpected}
	}
}

// columns returns the names of the top-level columns.
func (p *parquetFile) columns() []string {
	var names []string
	for _, l := range p.leaves {
		if !slices.Contains(names, l.path[0]) {
			names = append(names, l.path[0])
		}
	}
	return names
}

// has reports whether there is a top-level column called name.
func (p *parquetFile) has(name string) bool { return slices.Contains(p.columns(), name) }

// leaf finds the only physical column below the top-level column called name: lists, of
// any depth and in any of parquet's spellings, have one. kinds are the physical types
// accepted, expected describes them.
func (p *parquetFile) leaf(name, expected string, kinds ...parquet.Kind) (leaf, error) {
	wrong := func(found string) (leaf, error) {
		return leaf{}, &Defect{File: p.name, Column: name, Found: found, Expected: expected}
	}
	var found []leaf
	var fields []string
	for _, l := range p.leaves {
		if l.path[0] == name {
			found = append(found, l)
			fields = append(fields, strings.Join(l.path[1:], "."))
		}
	}
	switch {
	case len(found) == 0:
		return wrong("no such column beside " + strings.Join(p.columns(), ", "))
	case len(found) > 1:
		return wrong("a structure of " + strings.Join(fields, ", "))
	case !slices.Contains(kinds, found[0].kind):
		return wrong("values of type " + found[0].kind.String())
	}
	return found[0], nil
}

// scan calls visit with every value of a physical column in the rows from, from+1, ...
// from+rows-1. Values of byte arrays are valid during the call only. It is an error if
// the file ends before.
func (p *parquetFile) scan(ctx context.Context, column leaf, from, rows int, visit func(row int, v parquet.Value) error) (err error) {
	defer recoverCorrupt(p.name, &err)
	if from < 0 || rows < 0 || rows > p.rows-from {
		return &Defect{File: p.name, Found: fmt.Sprintf("%d rows", p.rows), Expected: fmt.Sprintf("rows %d to %d", from, from+rows-1)}
	}
	first := 0
	for _, group := range p.groups {
		last := first + int(group.NumRows())
		if begin, end := max(from, first), min(from+rows, last); begin < end {
			if err := p.scanGroup(ctx, column, group.ColumnChunks()[column.index].Pages(), first, begin, end, visit); err != nil {
				return err
			}
		}
		first = last
	}
	return nil
}

// scanGroup is scan for the rows [begin, end) and the pages of a row group whose first row
// is row first of the file. It closes pages.
func (p *parquetFile) scanGroup(ctx context.Context, column leaf, pages parquet.Pages, first, begin, end int, visit func(row int, v parquet.Value) error) error {
	defer pages.Close()
	if begin > first {
		if err := pages.SeekToRow(int64(begin - first)); err != nil {
			return unreadable(p.name, err, parquetExpected)
		}
	}
	row := begin - 1
	var values [512]parquet.Value
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			break
		}
		if err != nil {
			return unreadable(p.name, err, parquetExpected)
		}
		for reader := page.Values(); ; {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("read %s: row %d of %d: %w", p.name, row, p.rows, err)
			}
			n, err := reader.ReadValues(values[:])
			for _, v := range values[:n] {
				if v.RepetitionLevel() == 0 {
					if row++; row == end {
						return nil
					}
				}
				if err := visit(row, v); err != nil {
					return err
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return unreadable(p.name, err, parquetExpected)
			}
			if n == 0 {
				return &Defect{File: p.name, Row: new(row), Found: "a page that does not end", Expected: parquetExpected}
			}
		}
		parquet.Release(page)
	}
	if row != end-1 {
		return &Defect{File: p.name, Column: column.path[0], Found: fmt.Sprintf("values of %d rows", row+1), Expected: fmt.Sprintf("%d rows", end)}
	}
	return nil
}

// numbers calls visit with the numbers of column in each of rows rows beginning with row
// from; nulls counts those that are missing from them. visit must not keep values.
func (p *parquetFile) numbers(ctx context.Context, column string, from, rows int, visit func(row int, values []float64, nulls int) error) error {
	leaf, err := p.leaf(column, "numbers", parquet.Boolean, parquet.Int32, parquet.Int64, parquet.Float, parquet.Double)
	if err != nil {
		return err
	}
	var values []float64
	nulls, current := 0, from
	err = p.scan(ctx, leaf, from, rows, func(row int, v parquet.Value) error {
		if row != current {
			if err := visit(current, values, nulls); err != nil {
				return err
			}
			values, nulls, current = values[:0], 0, row
		}
		if v.IsNull() {
			nulls++
			return nil
		}
		if len(values) == maxWidth {
			return &Defect{File: p.name, Column: column, Row: new(row), Found: fmt.Sprintf("more than %d numbers", maxWidth), Expected: "fewer"}
		}
		values = append(values, number(v))
		return nil
	})
	if err != nil || rows == 0 {
		return err
	}
	return visit(current, values, nulls)
}

func number(v parquet.Value) float64 {
	switch v.Kind() {
	case parquet.Boolean:
		if v.Boolean() {
			return 1
		}
		return 0
	case parquet.Int32:
		return float64(v.Int32())
	case parquet.Int64:
		return float64(v.Int64())
	case parquet.Float:
		return float64(v.Float())
	}
	return v.Double()
}

// readFloats appends rows rows of column to dst, width numbers each.
func readFloats[T float32 | float64](ctx context.Context, p *parquetFile, column string, width, from, rows int, dst []T) ([]T, error) {
	err := p.numbers(ctx, column, from, rows, func(row int, values []float64, nulls int) error {
		if d := p.checkWidth(column, row, len(values), nulls, width); d != nil {
			return d
		}
		for _, v := range values {
			dst = append(dst, T(v))
		}
		return nil
	})
	return dst, err
}

// readInts appends rows rows of column to dst, one whole number each.
func (p *parquetFile) readInts(ctx context.Context, column string, from, rows int, dst []int) ([]int, error) {
	err := p.numbers(ctx, column, from, rows, func(row int, values []float64, nulls int) error {
		if d := p.checkWidth(column, row, len(values), nulls, 1); d != nil {
			return d
		}
		n, ok := wholeNumber(values[0])
		if !ok {
			return &Defect{File: p.name, Column: column, Row: new(row), Found: fmt.Sprint(values[0]), Expected: "a whole number"}
		}
		dst = append(dst, n)
		return nil
	})
	return dst, err
}

func wholeNumber(v float64) (n int, ok bool) {
	const exact = 1 << 53
	return int(v), v == math.Trunc(v) && v > -exact && v < exact
}

// checkWidth returns a Defect unless a row has width numbers and no null.
func (p *parquetFile) checkWidth(column string, row, have, nulls, width int) *Defect {
	if have == width && nulls == 0 {
		return nil
	}
	found := fmt.Sprintf("width %d", have)
	if nulls > 0 {
		found += fmt.Sprintf(" and %d null", nulls)
	}
	return &Defect{File: p.name, Column: column, Row: new(row), Found: found, Expected: fmt.Sprintf("width %d", width)}
}

// readStrings returns the strings of every row of column, none where it is null.
func (p *parquetFile) readStrings(ctx context.Context, column string) ([][]string, error) {
	leaf, err := p.leaf(column, "strings", parquet.ByteArray)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	err = p.scan(ctx, leaf, 0, p.rows, func(row int, v parquet.Value) error {
		if row == len(rows) {
			rows = append(rows, nil)
		}
		if !v.IsNull() {
			rows[row] = append(rows[row], string(v.ByteArray()))
		}
		return nil
	})
	return rows, err
}
