// Prints what the npm package hyparquet reads from parquet files, as JSON: for each file
// its rows and its notes (key-value metadata). Bytes are printed in base64.
//
//	node rows.cjs FILE...
'use strict'
const { readFileSync } = require('node:fs')
const { pathToFileURL } = require('node:url')

async function main() {
  // The package is an ES module: it is found as require would, and then imported.
  const { parquetMetadata, parquetReadObjects } = await import(pathToFileURL(require.resolve('hyparquet')))
  const files = []
  for (const name of process.argv.slice(2)) {
    const content = readFileSync(name)
    const file = content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength)
    const notes = {}
    for (const { key, value } of parquetMetadata(file).key_value_metadata ?? []) notes[key] = value
    files.push({ notes, rows: await parquetReadObjects({ file, utf8: false }) })
  }
  process.stdout.write(JSON.stringify(files, (_, value) => {
    if (typeof value === 'bigint') return Number(value)
    if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
    return value
  }))
}

main().catch((error) => { console.error(error); process.exit(1) })
