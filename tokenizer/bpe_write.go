package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// file returns the tokenizer.json of the vocabulary.
func (t *bpeTrainer) file() ([]byte, error) {
	type byteLevel struct {
		Type        string `json:"type"`
		PrefixSpace bool   `json:"add_prefix_space"`
		TrimOffsets bool   `json:"trim_offsets"`
		UseRegex    bool   `json:"use_regex"`
	}
	type addedToken struct {
		ID         int32  `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
		Normalized bool   `json:"normalized"`
		Special    bool   `json:"special"`
	}
	var file struct {
		Version       string       `json:"version"`
		Truncation    *struct{}    `json:"truncation"`
		Padding       *struct{}    `json:"padding"`
		AddedTokens   []addedToken `json:"added_tokens"`
		Normalizer    *struct{}    `json:"normalizer"`
		PreTokenizer  byteLevel    `json:"pre_tokenizer"`
		PostProcessor byteLevel    `json:"post_processor"`
		Decoder       byteLevel    `json:"decoder"`
		Model         struct {
			Type         string     `json:"type"`
			Dropout      *float64   `json:"dropout"`
			UnknownToken *string    `json:"unk_token"`
			Prefix       *string    `json:"continuing_subword_prefix"`
			Suffix       *string    `json:"end_of_word_suffix"`
			FuseUnknown  bool       `json:"fuse_unk"`
			ByteFallback bool       `json:"byte_fallback"`
			IgnoreMerges bool       `json:"ignore_merges"`
			Vocabulary   vocabulary `json:"vocab"`
			Merges       []string   `json:"merges"`
		} `json:"model"`
	}
	file.Version = "1.0"
	file.AddedTokens = []addedToken{}
	for id, token := range t.Special {
		file.AddedTokens = append(file.AddedTokens, addedToken{ID: int32(id), Content: token, Special: true})
	}
	file.PreTokenizer = byteLevel{"ByteLevel", false, true, !t.Whole}
	file.PostProcessor = byteLevel{"ByteLevel", true, false, true}
	file.Decoder = byteLevel{"ByteLevel", true, true, true}
	file.Model.Type = "BPE"
	file.Model.Vocabulary = t.tokens
	file.Model.Merges = []string{}
	for _, pair := range t.merges {
		file.Model.Merges = append(file.Model.Merges, t.tokens[pair[0]]+" "+t.tokens[pair[1]])
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(file); err != nil {
		return nil, fmt.Errorf("write tokenizer.json: %w", err)
	}
	return out.Bytes(), nil
}

// vocabulary is the tokens by id, which the file has as an object of ids in their order.
type vocabulary []string

// MarshalJSON writes the object.
func (v vocabulary) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for id, token := range v {
		if id > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(token)
		if err != nil {
			return nil, err
		}
		out = fmt.Appendf(append(out, key...), ":%d", id)
	}
	return append(out, '}'), nil
}
