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
		Short: "Turn text and actions into tokens, and compare ways to do it",
		Args:  cobra.NoArgs, // without it cobra takes an unknown verb for a call for help
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(tokenizeTextCommand(), tokenizeActionsCommand(), tokenizeCompareCommand())
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
			return tokenizeLines(cmd.OutOrStdout(), cmd.InOrStdin(), textTokens(bpe))
		},
	}
	command.Flags().StringVar(&dir, "tokenizer", "", "folder with a tokenizer.json, or the file itself")
	_ = command.MarkFlagRequired("tokenizer") // fails only for a flag that does not exist
	return command
}

// maxLine is how long a line of stdin may be, in bytes.
const maxLine = 64 << 20

// tokenizeLines writes to out what tokenize appends for every line of in, on a line of its
// own, and writes all it has before it waits for more.
func tokenizeLines(out io.Writer, in io.Reader, tokenize func(answer, line []byte) ([]byte, error)) (err error) {
	reader, writer := bufio.NewReaderSize(in, 1<<16), bufio.NewWriterSize(out, 1<<16)
	defer func() {
		if flushed := writer.Flush(); err == nil && flushed != nil {
			err = fmt.Errorf("write tokens: %w", flushed)
		}
	}()
	var line, answer []byte
	for number := 1; ; number++ {
		line, err = readLine(line[:0], reader)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			answer, err = tokenize(answer[:0], line)
		}
		if err != nil {
			return fmt.Errorf("line %d of stdin: %w", number, err)
		}
		if _, err := writer.Write(append(answer, '\n')); err != nil {
			return fmt.Errorf("write tokens: %w", err)
		}
		if reader.Buffered() == 0 {
			if err := writer.Flush(); err != nil {
				return fmt.Errorf("write tokens: %w", err)
			}
		}
	}
}

// textTokens returns what tokenizes lines that are JSON strings.
func textTokens(bpe *tokenizer.BPE) func(answer, line []byte) ([]byte, error) {
	var ids []int32
	return func(answer, line []byte) ([]byte, error) {
		var text *string
		if err := json.Unmarshal(line, &text); err != nil {
			return nil, err
		}
		if text == nil {
			return nil, errors.New("have null, want a JSON string")
		}
		ids = bpe.AppendEncode(ids[:0], *text)
		return appendIDs(answer, ids), nil
	}
}

// appendIDs appends ids as a JSON array.
func appendIDs(dst []byte, ids []int32) []byte {
	dst = append(dst, '[')
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(id), 10)
	}
	return append(dst, ']')
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
