// Writes training.json: the merges that HuggingFace's tokenizers library learns from texts at
// byte level, with its default trainer: up to 30,000 tokens, down to pairs that occur once.
//
//   npm install --prefix DIR tokenizers@0.23.2
//   NODE_PATH=DIR/node_modules node generate_training.js > training.json
const fs = require('fs'), os = require('os'), path = require('path');
const { Tokenizer, BPE, byteLevelPreTokenizer } = require('tokenizers');

// A generator of numbers of our own, so that the texts can be made again.
let state = 1;
const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
const pick = (list) => list[Math.floor(random() * list.length)];
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
const lines = (n, line) => Array.from({ length: n }, (_, i) => line(i) + '\n').join('');

// coefficients is a line as FAST makes it: large at first, then ever smaller, in characters
// that begin with the given one. Line ends are avoided.
const coefficients = (zero, scale) => Array.from({ length: 28 }, (_, i) => {
  const c = Math.round(normal() * scale / (1 + i));
  return String.fromCodePoint(zero + c === 10 ? 11 : zero + c);
}).join('');

const corpora = {
  instructions: lines(150, () => [pick(['pick up', 'push', 'put', "don't touch", 'stack', 'grasp']), pick(['the', 'a', '12']), pick(['red', 'blue', 'green', 'gläserne']), pick(['cube', 'bowl', 'T-block', '立方体', 'mug']), pick(['and', 'then', ', then', '  ']), pick(['place it in', 'move to', "go to the robot's"]), pick(['bowl.', 'goal!', 'left', 'corner 3.5cm'])].join(' ')),
  'coefficients, two bytes': lines(120, () => coefficients(354, 25)),
  'coefficients, one byte': lines(120, () => coefficients(64, 15)),
  'few letters': lines(60, () => Array.from({ length: 12 }, () => pick(['a', 'b', 'b', 'c', ' '])).join('')),
};

(async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'training-'));
  const cases = [];
  for (const [name, text] of Object.entries(corpora)) {
    const file = path.join(dir, 'corpus'), saved = path.join(dir, 'tokenizer.json');
    fs.writeFileSync(file, text);
    const tokenizer = new Tokenizer(BPE.empty());
    tokenizer.setPreTokenizer(byteLevelPreTokenizer(false));
    tokenizer.train([file]);
    tokenizer.save(saved, false);
    const model = JSON.parse(fs.readFileSync(saved)).model;
    cases.push({ name, text, merges: model.merges.map((m) => (Array.isArray(m) ? m.join(' ') : m)) });
  }
  fs.rmSync(dir, { recursive: true });
  process.stdout.write(JSON.stringify(cases, null, 1) + '\n');
})();
