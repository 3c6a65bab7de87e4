// An operator written from docs/protocol-mavlink.md with the npm package node-mavlink:
// arms a simulator of two action dimensions, resets it to a seed in lockstep, makes some
// steps, each command sent twice, and disarms. It prints what it hears as JSON.
//
//	node station.cjs HOST PORT SEED STEPS [KEY]
//
// KEY is 64 hexadecimal digits. The action of step n is (sin n, cos n) on the wire.
'use strict'
const dgram = require('node:dgram')
const { PassThrough } = require('node:stream')
const { MavLinkPacketParser, MavLinkPacketSplitter, MavLinkProtocolV2, minimal, common } = require('node-mavlink')

const [host, port, seed, steps, key] = process.argv.slice(2)
const secret = key && Buffer.from(key, 'hex')
const known = { ...minimal.REGISTRY, ...common.REGISTRY }
const socket = dgram.createSocket('udp4')
const protocol = new MavLinkProtocolV2(255, 190, secret ? MavLinkProtocolV2.IFLAG_SIGNED : 0)
const input = new PassThrough()
const waiting = []
let sequence = 0

function send(message) {
	let frame = protocol.serialize(message, sequence++ & 255)
	if (secret) frame = protocol.sign(frame, 1, secret)
	socket.send(frame, Number(port), host)
}

// await resolves with the next message of a kind that is wanted; what comes meanwhile and
// is not wanted by anybody is lost.
function next(kind, wanted) {
	return new Promise((resolve) => waiting.push({ kind, wanted, resolve }))
}

input.pipe(new MavLinkPacketSplitter()).pipe(new MavLinkPacketParser()).on('data', (packet) => {
	const kind = known[packet.header.msgid]
	if (!kind) return
	if (secret && !(packet.signature && packet.signature.matches(secret))) throw new Error('a message is not signed with the key')
	const message = packet.protocol.data(packet.payload, kind)
	for (let i = waiting.length - 1; i >= 0; i--) {
		if (message instanceof waiting[i].kind && waiting[i].wanted(message)) waiting.splice(i, 1)[0].resolve(message)
	}
})
socket.on('message', (datagram) => input.write(datagram))

function command(number, params) {
	const m = new common.CommandLong(1, 1)
	m.command = number
	params.forEach((value, i) => { m[`_param${i + 1}`] = value })
	return m
}

const vector = (name, stamp) => next(common.DebugFloatArray, (m) => m.name === name && (stamp === undefined || m.timeUsec === stamp))
const acknowledged = (number) => next(common.CommandAck, (m) => m.command === number)
const upToEnd = (m) => Array.from(m.data).slice(0, Array.from(m.data).findIndex(Number.isNaN))

async function main() {
	const heartbeat = new minimal.Heartbeat()
	heartbeat.type = minimal.MavType.GCS
	heartbeat.autopilot = minimal.MavAutopilot.INVALID
	heartbeat.systemStatus = minimal.MavState.ACTIVE
	const spec = vector('spec')
	send(heartbeat)
	const beat = setInterval(() => send(heartbeat), 1000)
	const heard = { spec: upToEnd(await spec), states: [], scores: [] }

	const episode = 42
	const begun = [acknowledged(31010), vector('initial'), vector('state', BigInt(episode) << 32n)]
	send(command(31010, [Number(BigInt(seed) & 0xffffffn), Number(BigInt(seed) >> 24n), 1, episode, 0, 0, 0]))
	const [ack, initial, first] = await Promise.all(begun)
	heard.reset = { result: ack.result, episode: ack.resultParam2 }
	heard.initial = upToEnd(initial)
	heard.states.push(upToEnd(first))

	const armed = acknowledged(400)
	send(command(400, [1, 0, 0, 0, 0, 0, 0]))
	heard.armed = (await armed).result
	for (let n = 1; n <= Number(steps); n++) {
		const stamp = (BigInt(episode) << 32n) + BigInt(n)
		const m = new common.SetActuatorControlTarget()
		m.timeUsec = stamp
		m.groupMlx = 0
		m.targetSystem = 1
		m.targetComponent = 1
		m.controls = [Math.sin(n), Math.cos(n), 0, 0, 0, 0, 0, 0]
		for (let repeat = 0; repeat < 2; repeat++) {
			const answer = [vector('score', stamp), vector('state', stamp)]
			send(m)
			const [score, state] = await Promise.all(answer)
			if (repeat === 0) heard.scores.push(upToEnd(score))
			if (repeat === 1) heard.states.push(upToEnd(state))
		}
	}
	const disarmed = acknowledged(400)
	send(command(400, [0, 0, 0, 0, 0, 0, 0]))
	heard.disarmed = (await disarmed).result
	console.log(JSON.stringify(heard))
	clearInterval(beat)
	socket.close()
}

setTimeout(() => { console.error('no answer in 20 s'); process.exit(1) }, 20000).unref()
main().catch((error) => { console.error(error); process.exit(1) })
