// Writes reference.json: what HuggingFace's tokenizers library makes of texts with
// tokenizers that use every part which govla supports, alone and together.
//
//   npm install --prefix DIR tokenizers@0.23.2
//   NODE_PATH=DIR/node_modules node generate.js > reference.json
const { Tokenizer } = require('tokenizers');

// The characters that stand for bytes at byte level, from the library itself.
const alphabet = require('tokenizers').byteLevelAlphabet().sort();
const bytes = (text) => [...Buffer.from(text)].map((b) => runes[b]).join('');
const runes = (() => {
  const of = [];
  let next = 256;
  for (let b = 0; b < 256; b++) {
    const printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    of.push(String.fromCodePoint(printable ? b : next++));
  }
  return of;
})();
if (alphabet.join() !== [...runes].sort().join()) throw new Error('not the alphabet of the library');

// grow makes a vocabulary that starts with single and merges words from their starts and
// from their ends, so that merges compete.
function grow(single, words) {
  const vocab = {}, merges = [];
  const add = (token) => { if (!(token in vocab)) vocab[token] = Object.keys(vocab).length; };
  const merge = (left, right) => {
    if (merges.some(([l, r]) => l === left && r === right)) return;
    add(left + right);
    merges.push([left, right]);
  };
  single.forEach(add);
  words.forEach((word, i) => {
    const c = [...word];
    if (i % 2) for (let n = 1; n < c.length; n++) merge(c.slice(0, n).join(''), c[n]);
    else for (let n = c.length - 1; n > 0; n--) merge(c[n - 1], c.slice(n).join(''));
  });
  return { vocab, merges };
}

const words = ['the', ' the', 'red', ' red', "'s", "'re", '  ', '    ', ' cube', 'push', 'ing', ' pushing', '12', '123', '\r\n', '\n\n', 'é', 'ß', '日本', ' 日', '!!', ' !!', '...', '🙂', 'aa', 'aaaa', 'ab', 'aba', '_x', '<a', 'a>'];
const pairs = grow(runes, words.map(bytes));
const byteLevelModel = { vocab: pairs.vocab, merges: pairs.merges.map((m) => m.join(' ')) };
const model = (over) => ({
  type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null,
  fuse_unk: false, byte_fallback: false, ignore_merges: false, ...byteLevelModel, ...over,
});
const ByteLevel = (add_prefix_space, use_regex) => ({ type: 'ByteLevel', add_prefix_space, trim_offsets: true, use_regex });
const Digits = (individual_digits) => ({ type: 'Digits', individual_digits });
const Split = (pattern, behavior, invert) => ({ type: 'Split', pattern, behavior, invert });
const Sequence = (...pretokenizers) => ({ type: 'Sequence', pretokenizers });
const file = (over) => ({
  version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: ByteLevel(false, true),
  post_processor: null, decoder: ByteLevel(true, true), model: model({}), ...over,
});

const size = Object.keys(byteLevelModel.vocab).length;
const added = (...tokens) => {
  let next = size;
  return tokens.map(([content, flags]) => ({
    id: byteLevelModel.vocab[content] ?? next++, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...flags,
  }));
};

const words1 = grow([...'abcdefghi <>xé日'], ['abc', 'bcd', 'de', ' a', 'éa']);
const characters = (over, more) => {
  const vocab = { ...words1.vocab };
  (more || []).forEach((t) => { vocab[t] ??= Object.keys(vocab).length; });
  return file({ pre_tokenizer: null, decoder: null, model: { ...model(over), vocab, merges: words1.merges } });
};
const byteTokens = (from, to) => Array.from({ length: to - from }, (_, i) => '<0x' + (from + i).toString(16).toUpperCase().padStart(2, '0') + '>');

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const patterns = {
  gpt2: [GPT2],
  llama3: ["(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"],
  qwen2: ["(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"],
  gpt4o: ["[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"],
  deepseek: ['\\p{N}{1,3}', '[一-龥぀-ゟ゠-ヿ]+', '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'],
  classes: ['\\d+|\\S\\s|\\D\\u0301', '[^\\S\\n]+', '\\s+(?!\\S)|\\s'],
};

const tokenizers = {
  'byte level': file({}),
  'byte level, post-processor': file({ post_processor: ByteLevel(true, false) }),
  'byte level, prefix': file({ pre_tokenizer: ByteLevel(true, true) }),
  'byte level, one word': file({ pre_tokenizer: ByteLevel(false, false) }),
  'byte level, one word, prefix': file({ pre_tokenizer: ByteLevel(true, false) }),
  'digits': file({ pre_tokenizer: Sequence(Digits(true), ByteLevel(false, true)) }),
  'digits, prefix': file({ pre_tokenizer: Sequence(Digits(true), ByteLevel(true, true)) }),
  'numbers': file({ pre_tokenizer: Sequence(Digits(false), ByteLevel(false, true)) }),
  'no decoder': file({ decoder: null }),
  'pairs': file({ model: model({ merges: pairs.merges }) }),
  'ignore merges': file({ model: model({ ignore_merges: true, vocab: { ...byteLevelModel.vocab, [bytes(' cubes')]: size, 'reddish': size + 1, 'not reached': size + 2 } }) }),
  'missing bytes': file({ model: model({ vocab: Object.fromEntries(Object.entries(byteLevelModel.vocab).filter(([t]) => t !== runes[0x0a] && t !== 'q' && t !== runes[0xc2] && !t.includes(runes[0x0a])).map(([t], i) => [t, i])), merges: byteLevelModel.merges.filter((m) => !m.includes(runes[0x0a])) }) }),
  'added': file({ added_tokens: added(['<a>'], ['<ab>'], ['<a>b'], ['<a>bcd'], ['the'], ['<日>', { special: false }], [bytes(' q'), { special: false }], ['two words', { special: false }]) }),
  'added, strip': file({ added_tokens: added(['<a>', { lstrip: true }], ['<ab>', { rstrip: true }], ['<b>', { lstrip: true, rstrip: true }], [' ', { special: false }], ['\u00a0x']) }),
  'added, single word': file({ added_tokens: added(['red', { single_word: true }], ['<a>', { single_word: true }], ['12', { single_word: true, special: false }], ['aa', { single_word: true, lstrip: true, rstrip: true }]) }),
  'added, normalized': file({ pre_tokenizer: ByteLevel(true, true), added_tokens: added(['<a>'], ['a>', { normalized: true }], ['<ab>', { normalized: true, lstrip: true }], ['>b', {}], ['b<', { normalized: true, special: false }]) }),
  'characters': characters({}),
  'characters, unknown': characters({ unk_token: '<unk>' }, ['<unk>']),
  'characters, unknown fused': characters({ unk_token: '<unk>', fuse_unk: true }, ['<unk>']),
  'characters, fallback': characters({ unk_token: '<unk>', byte_fallback: true }, ['<unk>', ...byteTokens(0, 256)]),
  'characters, some fallback': characters({ unk_token: '<unk>', byte_fallback: true, fuse_unk: true }, ['<unk>', ...byteTokens(0x20, 0x80)]),
  'characters, some fallback, nothing unknown': characters({ byte_fallback: true }, byteTokens(0x20, 0x80)),
  'characters, byte level decoder': file({ ...characters({}), decoder: ByteLevel(true, true) }),
  'characters, ignore merges': characters({ ignore_merges: true, unk_token: '<unk>' }, ['<unk>', ' ', 'bb', 'ad']),
};
for (const [name, list] of Object.entries(patterns)) {
  tokenizers['pattern ' + name] = file({ pre_tokenizer: Sequence(...list.map((p) => Split({ Regex: p }, 'Isolated', false)), ByteLevel(false, false)) });
}
for (const behavior of ['Isolated', 'Removed', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']) {
  for (const invert of [false, true]) {
    for (const pattern of [{ String: 'a' }, { Regex: '\\s' }, { Regex: GPT2 }]) {
      tokenizers[['split', behavior, invert ? 'inverted' : 'as is', Object.values(pattern)[0].slice(0, 3)].join(' ')] = file({ pre_tokenizer: Sequence(Split(pattern, behavior, invert), ByteLevel(false, false)) });
    }
  }
}

const texts = [
  '', ' ', '\n', '  ', 'a', 'the red cube', " the red cube's pushing ", 'The RED cubes REDDISH reddish cubes', "it's they're I'll we've I'm he'd don't 's 'S 'RE ’s '' ' 'l 'v",
  'tabs\tand  double   spaces    end   ', '\n\n\r\n \r\n\t x \n y\n', 'a\u00a0b\u2003 c\u0085d\u000be\u001cf\u200bg\u3000h', '12 123 1234 a1b22 ٣٤ Ⅷ ² ½ 一二三 x²',
  'ñandú façade Straße żółw e\u0301x', '日本語 日本のテキスト日', '🙂🙂 a🙂b 👩‍👩‍👧', '...!!!??? !! ...a', 'snake_case CamelCase kebab-case x_x', 'aaaaaaa abababa aaaab',
  '<a><ab><b> <a>b <a>bcd <a>bcx<', 'x <a> y  <ab>  z\t<b>\n w<a>', 'red redred red, the12 12 a12 _12 12_ aa aaa -aa- aa', 'a>b<ab>b<a>b a> <ab >b', '<日> two words twowords q  q',
  'q\u0000\u0004\u007f\u0080é\u{40000}', 'bb ad abcd bcde ', 'xyz<unk><0x41>zzzééé??a?', 'https://example.org/a?b=1&c=2', 'function f(x) {\n    return x * 2; // twice\n}\n', ' \u00a0x a \u00a0x',
];
// Random texts of what makes differences.
let state = 12345;
const random = (n) => { state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff; return (state >> 8) % n; };
const pool = ['a', 'b', 'the', ' ', ' ', '  ', '\n', '\t', '1', '23', "'", "'s", '<a>', '<ab>', '<b>', '!', 'é', '日', '🙂', '\u00a0', 'red', '_', 'A', '\r\n', 'x', '\u0301', 'Ⅷ', '>', '<'];
for (let i = 0; i < 12; i++) texts.push(Array.from({ length: 25 }, () => pool[random(pool.length)]).join(''));

(async () => {
  const lines = [];
  for (const [name, description] of Object.entries(tokenizers)) {
    const json = JSON.stringify(description);
    const tokenizer = Tokenizer.fromString(json);
    const results = [];
    for (const text of texts) {
      const ids = text === '' ? [] : [...(await tokenizer.encode(text, null, { addSpecialTokens: false })).getIds()];
      results.push([ids, await tokenizer.decode(ids, false), await tokenizer.decode(ids, true)]);
    }
    // What is as in the first tokenizer is not repeated.
    const first = file({});
    const changes = Object.fromEntries(Object.entries(description).filter(([k, v]) => JSON.stringify(v) !== JSON.stringify(first[k])));
    lines.push(JSON.stringify({ name, changes, results }));
  }
  process.stdout.write('{"library": "npm tokenizers 0.23.2",\n"base": ' + JSON.stringify(file({})) + ',\n"texts": ' + JSON.stringify(texts) + ',\n"tokenizers": [\n' + lines.join(',\n') + '\n]}\n');
})();
