/** The image gate as far as it needs neither an engine nor a tool: whom an image runs as, and how a scanner's report is judged. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { judgeAdvisories } from '#kit/gate/advisories'
import { type ImageArchive, type ObtainImage, readImageConfig } from '#kit/gate/archive'
import { type Check, have, Unavailable } from '#kit/gate/gate'
import { imageGate, readGrype, readTrivy } from '#kit/gate/image'
import { licences } from '#kit/gate/licences'
import type { BundledPackage } from '#kit/packages'
import { root } from '#kit/paths'
import { assert, suite } from '../suite.ts'
import { createLayout } from './image-fixture.ts'
import { createTree } from './tree-fixture.ts'

const test = suite('gate image')

/** A check that no test of this file runs. */
const [SIGNATURE] = licences.checks as [Check]
const gateOf = (obtain: ObtainImage, packages: readonly BundledPackage[] = []) =>
  imageGate({ obtain, packages: async () => packages }, SIGNATURE)

async function userProblems(image: ImageArchive): Promise<readonly string[] | undefined> {
  let disposed = 0
  const gate = gateOf(async () => ({ ...image, [Symbol.asyncDispose]: async () => void disposed++ }))
  const problems = await gate.checks.find(({ tool }) => tool === 'image user')?.run({ root })
  assert.is(disposed, 1, 'what was obtained is given back')
  return problems
}

for (const [user, isGood] of [
  ['10001:10001', true],
  ['10001', true],
  ['', false],
  ['0', false],
  ['0:0', false],
  ['root', false],
  ['service', false],
] as const)
  test(`an image that runs as '${user}' is ${isGood ? 'green' : 'red'}`, async () => {
    using layout = createLayout({ files: { 'app/a.txt': 'a' }, user })
    const problems = await userProblems({ kind: 'oci-dir', path: layout.path })
    const red = `service/Dockerfile:1 — the image runs as '${user || 'root'}' — end it with USER and a number that is not 0`
    assert.equal(problems, isGood ? [] : [red])
  })

test('what docker save writes is read too', async () => {
  using tree = createTree({
    'in/manifest.json': '[{"Config":"abc.json","Layers":[]}]',
    'in/abc.json': '{"config":{"User":"7:7","Entrypoint":["/x"]}}',
  })
  const path = join(tree.path, 'image.tar')
  execFileSync('tar', ['--create', '--file', path, '--directory', join(tree.path, 'in'), 'manifest.json', 'abc.json'])
  assert.equal(await readImageConfig({ kind: 'docker-archive', path }), { User: '7:7', Entrypoint: ['/x'] })
  assert.equal(await userProblems({ kind: 'docker-archive', path }), [])
})

test('without an engine nothing was looked at', async () => {
  const gate = gateOf(() => have(() => Promise.reject(new Unavailable('no Docker engine answers'))))
  for (const { run } of gate.checks.filter((each) => each !== SIGNATURE)) {
    const thrown = await run({ root }).catch((each: unknown) => each)
    assert.instance(thrown, Unavailable)
  }
})

test('what trivy reports is judged by the policy of the dependencies, and no report is no pass', () => {
  const vulnerability = {
    VulnerabilityID: 'CVE-2026-1',
    PkgName: 'libc6',
    InstalledVersion: '2.41',
    Severity: 'CRITICAL',
    Title: 'overflow',
  }
  const reportOf = (...found: readonly object[]) =>
    JSON.stringify({ SchemaVersion: 2, Results: [{ Target: 'Node.js', Packages: [{ Name: 'libc6' }], Vulnerabilities: found }] })
  const policy = { from: 'high', exceptions: [] } as const
  assert.equal(judgeAdvisories(readTrivy(reportOf(vulnerability)), policy), [
    'service/Dockerfile:1 — libc6: 2.41: overflow (CVE-2026-1, critical) — take a version without it, or make an exception in .gate/advisories.yaml (https://avd.aquasec.com/nvd/CVE-2026-1)',
  ])
  assert.equal(readTrivy(reportOf()), [])
  for (const Results of [undefined, [], [{ Target: 'a' }]])
    assert.throws(() => readTrivy(JSON.stringify({ SchemaVersion: 2, Results })), /trivy has scanned nothing/)
  assert.throws(() => readTrivy('{}'), /trivy gave no report/)
})

test('what grype reports is judged alike, its other names of a vulnerability too', () => {
  const match = {
    vulnerability: { id: 'GHSA-1', severity: 'High', dataSource: 'https://github.com/advisories/GHSA-1', description: 'over\nflow' },
    relatedVulnerabilities: [{ id: 'CVE-2026-1' }],
    artifact: { name: 'node', version: '24.0.0' },
  }
  const rated = (severity: string) =>
    readGrype(JSON.stringify({ matches: [{ ...match, vulnerability: { ...match.vulnerability, severity } }] }))
  const exception = { id: 'CVE-2026-1', package: 'node', reason: 'nothing here calls what is broken', until: '2026-12-24' }
  const now = Date.parse('2026-11-26')
  assert.match(judgeAdvisories(rated('High'), { from: 'high', exceptions: [] }).join(), /node: 24\.0\.0: over flow \(GHSA-1, high\)/)
  assert.equal(judgeAdvisories(rated('High'), { from: 'high', exceptions: [exception] }, now), [])
  for (const severity of ['Negligible', 'Medium']) assert.equal(judgeAdvisories(rated(severity), { from: 'high', exceptions: [] }), [])
  assert.is(judgeAdvisories(rated('Unknown'), { from: 'high', exceptions: [] }).length, 1)
  assert.throws(() => readGrype('{}'), /grype gave no report/)
})

test.run()
