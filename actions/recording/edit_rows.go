package recording

import (
	"context"
	"fmt"

	"github.com/parquet-go/parquet-go"
)

// readRows returns the rows of episode d.Episodes[i] as they stand in the file, every
// feature but the videos. What differs from the features' types is converted.
func (d *Dataset) readRows(ctx context.Context, i int) (*episodeRows, error) {
	e := d.Episodes[i]
	p, err := openParquet(d.Dir, e.File)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if want := d.fileRows[p.name]; p.rows != want {
		return nil, &Defect{File: p.name, Found: fmt.Sprintf("%d rows", p.rows), Expected: fmt.Sprintf("%d, the lengths of its episodes added", want)}
	}
	rows := &episodeRows{length: e.Length, values: make(map[string][]parquet.Value)}
	for name, f := range d.Info.Features {
		switch {
		case f.DType == "video":
		case f.DType == "image":
			images, err := d.readImages(ctx, e, name)
			if err != nil {
				return nil, err
			}
			for _, content := range images {
				rows.values[name] = append(rows.values[name], parquet.ByteArrayValue(content))
			}
		default:
			if rows.values[name], err = p.readValues(ctx, e, name, f); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// readValues returns the values of a feature in the rows of an episode.
func (p *parquetFile) readValues(ctx context.Context, e Episode, name string, f Feature) ([]parquet.Value, error) {
	kinds, expected := []parquet.Kind{parquet.Boolean, parquet.Int32, parquet.Int64, parquet.Float, parquet.Double}, "numbers"
	if f.DType == "string" {
		kinds, expected = []parquet.Kind{parquet.ByteArray}, "strings"
	}
	leaf, err := p.leaf(name, expected, kinds...)
	if err != nil {
		return nil, err
	}
	width, own := f.Width(), toDType(f.DType, 0).Kind()
	values := make([]parquet.Value, 0, min(e.Length*width, 1<<20))
	err = p.scan(ctx, leaf, e.Row, e.Length, func(row int, v parquet.Value) error {
		if row != e.Row+len(values)/width {
			return p.wrongWidth(name, row, width)
		}
		if !v.IsNull() && f.DType != "string" && v.Kind() != own {
			v = toDType(f.DType, number(v))
		}
		values = append(values, v.Clone())
		return nil
	})
	if err == nil && len(values) != e.Length*width {
		err = p.wrongWidth(name, e.Row+len(values)/width, width)
	}
	return values, err
}

func (p *parquetFile) wrongWidth(name string, row, width int) *Defect {
	return &Defect{File: p.name, Column: name, Row: new(row), Found: "another width", Expected: fmt.Sprintf("width %d", width)}
}
