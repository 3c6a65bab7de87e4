package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

const (
	prefixSize    = 8              // bytes that hold the header's length
	maxHeaderSize = 100_000_000    // the reference implementation's limit
	metadataName  = "__metadata__" // the one member of the header that is no tensor
)

// entry is a tensor as the header describes it, before it is checked against the data.
type entry struct {
	tensor     Tensor // without Data
	begin, end int    // data_offsets
}

// parseHeader reads the header's JSON. It does so by token, because encoding/json would
// let a repeated name, a null, a missing number or a differently spelled member pass.
func parseHeader(header []byte) ([]entry, map[string]string, error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, errors.New("does not begin with '{'")
	}
	if !utf8.Valid(header) {
		return nil, nil, errors.New("is not valid UTF-8")
	}
	var entries []entry
	var metadata map[string]string
	dec := json.NewDecoder(bytes.NewReader(header))
	dec.UseNumber()
	err := parseObject(dec, func(name string) (err error) {
		if name == metadataName {
			if metadata, err = parseMetadata(dec); err != nil {
				return fmt.Errorf("%s: %w", metadataName, err)
			}
			return nil
		}
		e, err := parseEntry(dec, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, errors.New("something follows the JSON object")
	}
	return entries, metadata, nil
}

func parseMetadata(dec *json.Decoder) (map[string]string, error) {
	metadata := make(map[string]string)
	err := parseObject(dec, func(key string) (err error) {
		if metadata[key], err = parseString(dec); err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		return nil
	})
	return metadata, err
}

// parseEntry reads one tensor's object. Members that the format does not have are
// passed over, as by the reference implementation.
func parseEntry(dec *json.Decoder, name string) (entry, error) {
	e := entry{tensor: Tensor{Name: name}}
	var offsets []int
	err := parseObject(dec, func(key string) (err error) {
		switch key {
		case "dtype":
			var dtype string
			dtype, err = parseString(dec)
			e.tensor.DType = DType(dtype)
		case "shape":
			e.tensor.Shape, err = parseSizes(dec)
		case "data_offsets":
			offsets, err = parseSizes(dec)
		default:
			var skipped json.RawMessage
			err = dec.Decode(&skipped)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	switch {
	case err != nil:
		return entry{}, err
	case e.tensor.DType == "":
		return entry{}, errors.New("has no dtype")
	case e.tensor.Shape == nil:
		return entry{}, errors.New("has no shape")
	case len(offsets) != 2:
		return entry{}, fmt.Errorf("data_offsets are %v, want [begin, end]", offsets)
	}
	e.begin, e.end = offsets[0], offsets[1]
	return e, nil
}

// parseObject reads a JSON object and calls parseValue for the value of each member. A key
// that comes twice is an error.
func parseObject(dec *json.Decoder, parseValue func(key string) error) error {
	if err := parseDelim(dec, '{'); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for dec.More() {
		key, err := parseString(dec)
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("%q appears twice", key)
		}
		seen[key] = true
		if err := parseValue(key); err != nil {
			return err
		}
	}
	return parseDelim(dec, '}')
}

// parseSizes reads a JSON array of integers of at least 0; it is not nil, though it may
// be empty.
func parseSizes(dec *json.Decoder) ([]int, error) {
	if err := parseDelim(dec, '['); err != nil {
		return nil, err
	}
	sizes := []int{}
	for dec.More() {
		token, err := nextToken(dec)
		if err != nil {
			return nil, err
		}
		number, ok := token.(json.Number)
		if !ok {
			return nil, fmt.Errorf("have %v, want a number", token)
		}
		size, err := strconv.Atoi(number.String())
		if err != nil || size < 0 {
			return nil, fmt.Errorf("have %v, want an integer from 0 to the largest size of memory", number)
		}
		sizes = append(sizes, size)
	}
	return sizes, parseDelim(dec, ']')
}

func parseString(dec *json.Decoder) (string, error) {
	token, err := nextToken(dec)
	if err != nil {
		return "", err
	}
	s, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("have %v, want a string", token)
	}
	return s, nil
}

func parseDelim(dec *json.Decoder, want json.Delim) error {
	token, err := nextToken(dec)
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("have %v, want %v", token, want)
	}
	return nil
}

func nextToken(dec *json.Decoder) (json.Token, error) {
	token, err := dec.Token()
	if err == io.EOF {
		return nil, errors.New("the JSON is cut short")
	}
	return token, err
}

// formatHeader returns the length and the header of a file that holds tensors one after
// the other in the order given, padded with spaces so that the data begins at a multiple
// of 8 bytes.
func formatHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	header := make([]byte, prefixSize)
	header = append(header, '{')
	if len(metadata) > 0 {
		for key, value := range metadata {
			if !utf8.ValidString(key) || !utf8.ValidString(value) {
				return nil, fmt.Errorf("metadata %q: %q is not valid UTF-8", key, value)
			}
		}
		var err error
		if header, err = appendMember(header, metadataName, metadata); err != nil {
			return nil, err
		}
	}
	begin := 0
	for _, t := range tensors {
		end := begin + len(t.Data)
		var err error
		header, err = appendMember(header, t.Name, struct {
			DType   DType  `json:"dtype"`
			Shape   []int  `json:"shape"`
			Offsets [2]int `json:"data_offsets"`
		}{t.DType, append([]int{}, t.Shape...), [2]int{begin, end}})
		if err != nil {
			return nil, err
		}
		begin = end
	}
	header = append(header, '}')
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	length := len(header) - prefixSize
	if length > maxHeaderSize {
		return nil, fmt.Errorf("the header has %d bytes, more than the %d that readers accept", length, maxHeaderSize)
	}
	binary.LittleEndian.PutUint64(header, uint64(length))
	return header, nil
}

// appendMember appends a member to the JSON object that header ends within.
func appendMember(header []byte, name string, value any) ([]byte, error) {
	if header[len(header)-1] != '{' {
		header = append(header, ',')
	}
	header, err := appendJSON(header, name)
	if err != nil {
		return nil, err
	}
	return appendJSON(append(header, ':'), value)
}

// appendJSON appends value as the reference implementation spells it: without spaces,
// and with <, > and & as they are, which json.Marshal would escape.
func appendJSON(header []byte, value any) ([]byte, error) {
	var buffer bytes.Buffer
	enc := json.NewEncoder(&buffer)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return append(header, bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))...), nil
}
