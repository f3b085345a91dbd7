/** The check that Go programs share what they compile: what it reads of a go.mod, and what it calls a difference. */
import { differing, readModule } from '#kit/gate/go-modules'
import { assert, suite } from '../suite.ts'

const test = suite('gate go modules')

const SHARED = 'golang.org/x/net'
const goMod = (path: string, text: string) => readModule({ path, text: `module holdfast.local/a\n\ngo 1.26\n\n${text}\n` })
const told = (...modules: Parameters<typeof differing>[0]) =>
  differing(modules).map(({ file, name, version, newest }) => `${file.path}: ${name} ${version}, ${newest}`)

test('what two ask for in one version is no difference, an older one is', () => {
  const [older, newer] = [goMod('a/go.mod', `require ${SHARED} v0.9.0`), goMod('b/go.mod', `require (\n\t${SHARED} v0.10.0 // indirect\n)`)]
  assert.equal(told(older, older), [])
  assert.equal(told(older, newer), [`a/go.mod: ${SHARED} v0.9.0, v0.10.0`])
})

test('of two commits the later is newer, and one with +incompatible is read as it is', () => {
  const [early, late] = ['v0.0.0-20250102033503-faa5f7b0171c', 'v0.0.0-20260226131333-17d1149c6ac6']
  const asks = (version: string) => `require (\n\texample.org/a ${version}\n\texample.org/b v2.0.0+incompatible // indirect\n)`
  assert.equal(told(goMod('a/go.mod', asks(late)), goMod('b/go.mod', asks(early))), [`b/go.mod: example.org/a ${early}, ${late}`])
})

test('who asks for a release candidate gets that one', () => {
  const asks = (version: string) => goMod(`${version}/go.mod`, `require go.yaml.in/yaml/v4 ${version}`)
  assert.equal(told(asks('v4.0.0-rc.3'), asks('v4.0.0-rc.4')), [])
})

test('a program says its own version, whoever else asks for it', () => {
  const program = goMod('a/go.mod', 'tool (\n\texample.org/prom/cmd/prom\n)\n\nrequire example.org/prom v0.31.0 // indirect')
  const user = goMod('b/go.mod', 'tool example.org/user\n\nrequire example.org/prom v0.33.0 // indirect')
  assert.equal(told(program, user), [])
  assert.equal(told(program, goMod('c/go.mod', 'require example.org/prom v0.30.0')), ['c/go.mod: example.org/prom v0.30.0, v0.31.0'])
})

test('what is replaced by its own counts in that version, and what another stands in for counts nowhere', () => {
  const pinned = goMod('a/go.mod', 'require k8s.io/api v0.0.0\n\nreplace k8s.io/api => k8s.io/api v0.36.2')
  const forked = goMod('b/go.mod', 'require k8s.io/api v0.1.0\n\nreplace (\n\tk8s.io/api v0.1.0 => example.org/fork v0.37.0\n)')
  const newer = goMod('c/go.mod', 'require k8s.io/api v0.36.3')
  assert.equal(told(pinned, forked, newer), ['a/go.mod: k8s.io/api v0.36.2, v0.36.3'])
  assert.equal(pinned.asks[0]?.by, 'replace')
})

test('what is kept, with its reason, is no difference; without a reason it is', () => {
  const replaced = 'replace example.org/a => example.org/a v0.20.3'
  const newer = goMod('b/go.mod', 'require example.org/a v0.22.1')
  assert.equal(told(goMod('a/go.mod', `// Kept: by a newer one it asks for TLS.\n${replaced}`), newer), [])
  assert.equal(told(goMod('a/go.mod', `// By a newer one it asks for TLS.\n${replaced}`), newer), [
    'a/go.mod: example.org/a v0.20.3, v0.22.1',
  ])
})

test('a release of Kubernetes beside the pinned one keeps its own modules, and only these', () => {
  const other = goMod('local/node/module/1.36.2/go.mod', 'require (\n\tk8s.io/kubernetes v1.36.2\n\tk8s.io/klog/v2 v2.1.0\n)')
  const pinned = goMod('local/node/go.mod', 'require (\n\tk8s.io/kubernetes v1.36.3\n\tk8s.io/klog/v2 v2.2.0\n)')
  assert.equal(told(other, pinned), ['local/node/module/1.36.2/go.mod: k8s.io/klog/v2 v2.1.0, v2.2.0'])
})

test.run()
