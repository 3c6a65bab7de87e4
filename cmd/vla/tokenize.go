package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"govla/tokenizer"
)

func tokenizeCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "tokenize",
		Short: "Turn text into tokens",
		Args:  cobra.NoArgs, // without it cobra takes an unknown verb for a call for help
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(tokenizeTextCommand())
	return command
}

func tokenizeTextCommand() *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   "text",
		Short: "Turn lines of JSON strings on stdin into lines of ids",
		Long: `Text reads JSON strings from stdin, one a line, and prints for each the ids of its
tokens as a JSON array on a line of its own, as soon as there is no more to read for now.
The tokenizer is the tokenizer.json of a byte pair encoding.`,
		Example: `  vla tokenize text --tokenizer models/smolvlm                  # "pick up the cube" gives [18188,614,...]
  vla tokenize text --tokenizer models/smolvlm/tokenizer.json | jq length`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bpe, err := tokenizer.LoadBPE(dir)
			if err != nil {
				return err
			}
			// There is nothing to tidy up, and Ctrl-C could not end waiting for stdin otherwise.
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			return tokenizeLines(cmd.OutOrStdout(), cmd.InOrStdin(), bpe)
		},
	}
	command.Flags().StringVar(&dir, "tokenizer", "", "folder with a tokenizer.json, or the file itself")
	_ = command.MarkFlagRequired("tokenizer") // fails only for a flag that does not exist
	return command
}

// maxLine is how long a line of stdin may be, in bytes.
const maxLine = 64 << 20

// tokenizeLines writes the ids of every line of in to out, and writes all it has before it
// waits for more.
func tokenizeLines(out io.Writer, in io.Reader, bpe *tokenizer.BPE) (err error) {
	reader, writer := bufio.NewReaderSize(in, 1<<16), bufio.NewWriterSize(out, 1<<16)
	defer func() {
		if flushed := writer.Flush(); err == nil && flushed != nil {
			err = fmt.Errorf("write ids: %w", flushed)
		}
	}()
	var (
		line, encoded []byte
		ids           []int32
	)
	for number := 1; ; number++ {
		line, err = readLine(line[:0], reader)
		if err == io.EOF {
			return nil
		}
		var text *string
		if err == nil {
			err = json.Unmarshal(line, &text)
		}
		if err == nil && text == nil {
			err = errors.New("have null, want a JSON string")
		}
		if err != nil {
			return fmt.Errorf("line %d of stdin: %w", number, err)
		}
		ids = bpe.AppendEncode(ids[:0], *text)
		encoded = append(encoded[:0], '[')
		for i, id := range ids {
			if i > 0 {
				encoded = append(encoded, ',')
			}
			encoded = strconv.AppendInt(encoded, int64(id), 10)
		}
		if _, err := writer.Write(append(encoded, "]\n"...)); err != nil {
			return fmt.Errorf("write ids: %w", err)
		}
		if reader.Buffered() == 0 {
			if err := writer.Flush(); err != nil {
				return fmt.Errorf("write ids: %w", err)
			}
		}
	}
}

// readLine appends the next line to line, without its end. It returns io.EOF when there is
// none.
func readLine(line []byte, reader *bufio.Reader) ([]byte, error) {
	for {
		more, err := reader.ReadSlice('\n')
		line = append(line, more...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("more than %d bytes", maxLine)
		case err == nil, err == io.EOF && len(line) > 0:
			return bytes.TrimRight(line, "\r\n"), nil
		case err != bufio.ErrBufferFull:
			return nil, err
		}
	}
}
