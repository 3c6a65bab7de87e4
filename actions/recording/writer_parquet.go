package recording

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// column is the type of a parquet column that this package writes, in the layout of
// Apache Arrow: everything may be null, and vectors are lists.
type column struct {
	dtype string // as of a Feature; "image" is a structure of bytes and path
	shape []int  // nil: a plain value; otherwise one level of lists for each axis
}

// column returns how the values of a feature stand in parquet files. LeRobot writes a
// shape of [1] as a plain value.
func (f Feature) column() column {
	if len(f.Shape) == 0 || len(f.Shape) == 1 && f.Shape[0] == 1 || !f.Numeric() && f.Width() == 1 || f.Camera() {
		return column{dtype: f.DType}
	}
	return column{f.DType, f.Shape}
}

func (c column) node() (parquet.Node, error) {
	var node parquet.Node
	switch c.dtype {
	case "bool":
		node = parquet.Leaf(parquet.BooleanType)
	case "float32":
		node = parquet.Leaf(parquet.FloatType)
	case "float64":
		node = parquet.Leaf(parquet.DoubleType)
	case "int64":
		node = parquet.Leaf(parquet.Int64Type)
	case "int32":
		node = parquet.Leaf(parquet.Int32Type)
	case "int8":
		node = parquet.Int(8)
	case "int16":
		node = parquet.Int(16)
	case "uint8":
		node = parquet.Uint(8)
	case "uint16":
		node = parquet.Uint(16)
	case "string":
		node = parquet.String()
	case "image":
		return parquet.Optional(parquet.Group{
			"bytes": parquet.Optional(parquet.Leaf(parquet.ByteArrayType)),
			"path":  parquet.Optional(parquet.String()),
		}), nil
	default:
		return nil, fmt.Errorf("have dtype %q, want bool, float32, float64, int8 to int64, uint8, uint16, string, image or video", c.dtype)
	}
	node = parquet.Optional(node)
	for range c.shape {
		node = parquet.Optional(parquet.List(node))
	}
	return node, nil
}

// appendCell appends the values of one cell, in the order of the document, to row. No
// values make a null.
func (c column) appendCell(row parquet.Row, index int, values []parquet.Value) parquet.Row {
	if values == nil {
		return append(row, parquet.NullValue().Level(0, 0, index))
	}
	depth := len(c.shape)
	if len(values) == 0 { // a list without elements
		return append(row, parquet.NullValue().Level(0, 1, index))
	}
	for i, v := range values {
		repetition := 0
		if i > 0 {
			repetition = c.repetition(i)
		}
		definition := 1 + 2*depth
		if v.IsNull() {
			definition--
		}
		row = append(row, v.Level(repetition, definition, index))
	}
	return row
}

// repetition returns the level of lists at which value i of a cell, i > 0, begins the next
// element: 1 is the outermost.
func (c column) repetition(i int) int {
	block := 1
	for axis := len(c.shape) - 1; axis > 0; axis-- {
		block *= c.shape[axis]
		if i%block != 0 {
			return axis + 1
		}
	}
	return 1
}

// cells are the values of one row, by column.
type cells map[string][]parquet.Value

// tableWriter writes a parquet file.
type tableWriter struct {
	file   *os.File
	writer *parquet.GenericWriter[any]
	leaves []tableLeaf
	row    parquet.Row
	count  int // rows
}

type tableLeaf struct {
	name  string // of the top-level column
	part  string // "bytes" or "path" of an image
	index int
	column
}

// createTable creates the file at path, with the given columns and notes for other readers.
func createTable(path string, columns map[string]column, notes map[string]string) (*tableWriter, error) {
	root := make(parquet.Group)
	for name, c := range columns {
		node, err := c.node()
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
		root[name] = node
	}
	schema := parquet.NewSchema("schema", root)
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	options := []parquet.WriterOption{schema, parquet.Compression(&parquet.Snappy), parquet.CreatedBy("govla", "1", "")}
	for name, c := range columns {
		if c.dtype == "image" { // bounds would be whole images
			options = append(options, parquet.SkipPageBounds(name, "bytes"), parquet.SkipPageStatistics(name, "bytes"))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		options = append(options, parquet.KeyValueMetadata(key, notes[key]))
	}
	t := &tableWriter{file: file, writer: parquet.NewGenericWriter[any](file, options...)}
	for _, l := range leavesOf(schema) {
		leaf := tableLeaf{name: l.path[0], index: l.index, column: columns[l.path[0]]}
		if leaf.dtype == "image" {
			leaf.part = l.path[1]
		}
		t.leaves = append(t.leaves, leaf)
	}
	slices.SortFunc(t.leaves, func(a, b tableLeaf) int { return a.index - b.index })
	return t, nil
}

// write adds a row.
func (t *tableWriter) write(row cells) error {
	t.row = t.row[:0]
	for _, leaf := range t.leaves {
		values := row[leaf.name]
		switch leaf.part {
		case "bytes":
			t.row = append(t.row, values[0].Level(0, 2, leaf.index))
		case "path":
			t.row = append(t.row, values[1].Level(0, 2, leaf.index))
		default:
			t.row = leaf.appendCell(t.row, leaf.index, values)
		}
	}
	t.count++
	_, err := t.writer.WriteRows([]parquet.Row{t.row})
	return err
}

// size ends the row group and returns the bytes written so far.
func (t *tableWriter) size() (int64, error) {
	if err := t.writer.Flush(); err != nil {
		return 0, err
	}
	return t.file.Seek(0, io.SeekCurrent)
}

// close ends the file and brings it to the disk.
func (t *tableWriter) close() error {
	err := t.writer.Close()
	if err == nil {
		err = t.file.Sync()
	}
	if closeErr := t.file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// abandon closes a file that nobody will read.
func (t *tableWriter) abandon() { _ = t.file.Close() }

// episodeRows are the rows of one episode by feature, without videos.
type episodeRows struct {
	length int
	values map[string][]parquet.Value // [length][Feature.Width]; of images the bytes, [length]
}

// dataColumns returns the columns of data files.
func dataColumns(features map[string]Feature) map[string]column {
	columns := make(map[string]column)
	for name, f := range features {
		if f.DType != "video" {
			columns[name] = f.column()
		}
	}
	return columns
}

// createData creates a data file.
func createData(path string, features map[string]Feature) (*tableWriter, error) {
	notes, err := huggingFaceNotes(features)
	if err != nil {
		return nil, err
	}
	return createTable(path, dataColumns(features), notes)
}

// writeEpisode adds the rows of an episode.
func (t *tableWriter) writeEpisode(e *episodeRows, features map[string]Feature) error {
	row := make(cells)
	for i := range e.length {
		for name, values := range e.values {
			if features[name].DType == "image" {
				row[name] = []parquet.Value{values[i], parquet.ByteArrayValue(fmt.Appendf(nil, "frame-%06d.png", i))}
				continue
			}
			width := features[name].Width()
			row[name] = values[i*width : (i+1)*width]
		}
		if err := t.write(row); err != nil {
			return err
		}
	}
	return nil
}

// huggingFaceNotes tell the datasets library what it cannot see in the schema: which
// columns are images, and how long the vectors are.
func huggingFaceNotes(features map[string]Feature) (map[string]string, error) {
	types := make(map[string]any)
	for name, f := range features {
		value := map[string]any{"dtype": f.DType, "_type": "Value"}
		switch c := f.column(); {
		case f.DType == "video":
			continue
		case f.DType == "image":
			types[name] = map[string]any{"_type": "Image"}
		case len(c.shape) == 0:
			types[name] = value
		case len(c.shape) == 1:
			types[name] = map[string]any{"feature": value, "length": c.shape[0], "_type": "Sequence"}
		case len(c.shape) <= 5:
			types[name] = map[string]any{"shape": c.shape, "dtype": f.DType, "_type": fmt.Sprintf("Array%dD", len(c.shape))}
		}
	}
	note, err := json.Marshal(map[string]any{"info": map[string]any{"features": types}})
	return map[string]string{"huggingface": string(note)}, err
}

// toDType returns a number as a value of a column.
func toDType(dtype string, v float64) parquet.Value {
	switch dtype {
	case "bool":
		return parquet.BooleanValue(v != 0)
	case "float32":
		return parquet.FloatValue(float32(v))
	case "float64":
		return parquet.DoubleValue(v)
	case "int64":
		return parquet.Int64Value(int64(v))
	}
	return parquet.Int32Value(int32(v)) // the shorter whole numbers
}
