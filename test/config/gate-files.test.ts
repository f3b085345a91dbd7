/** The gates over workflows and Dockerfiles, with the real tools: each red on a planted fault, green without it. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dockerfiles } from '#kit/gate/dockerfiles'
import type { Gate } from '#kit/gate/gate'
import { workflows } from '#kit/gate/workflows'
import { root } from '#kit/paths'
import { assert, suite } from '../suite.ts'
import { createRepository } from '../unit/tree-fixture.ts'

const test = suite('gates of files')
/** The first use may install or build a tool. */
const BUILD = { timeoutMs: 300_000 }

async function problemsOf(gate: Gate, at: string): Promise<string> {
  return (await Promise.all(gate.checks.map((check) => check.run({ root: at })))).flat().join('\n')
}

for (const gate of [workflows, dockerfiles])
  test(`the ${gate.name} of this repository are clean`, async () => assert.is(await problemsOf(gate, root), ''), BUILD)

const WORKFLOW = '.github/workflows/ci.yml'
const workflow = await readFile(join(root, WORKFLOW), 'utf8')
const dockerfile = await readFile(join(root, 'service', 'Dockerfile'), 'utf8')
const manifest = await readFile(join(root, 'package.json'), 'utf8')

interface Fault {
  readonly name: string
  readonly from: string | RegExp
  readonly to: string
  readonly says: RegExp
}

const WORKFLOW_FAULTS: readonly Fault[] = [
  {
    name: 'an action that is not pinned by its commit',
    from: /actions\/checkout@[0-9a-f]{40} # v7\.0\.1/,
    to: 'actions/checkout@v7',
    says: /ci\.yml:\d+ — unpinned action reference: .*\(unpinned-uses\)/,
  },
  {
    name: 'a script that a stranger’s title is written into',
    from: 'run: npm test',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: GitHub's own expression
    to: 'run: npm test ${{ github.event.pull_request.title }}',
    says: /ci\.yml:\d+ — code injection via template expansion: .*\(template-injection\)/,
  },
  {
    name: 'a trigger that hands secrets to strangers',
    from: '  pull_request:\n',
    to: '  pull_request_target:\n',
    says: /\(dangerous-triggers\)/,
  },
  { name: 'credentials that stay behind', from: '          persist-credentials: false\n', to: '', says: /\(artipacked\)/ },
  { name: 'every permission', from: 'contents: read', to: 'contents: write', says: /ci\.yml:\d+ — .*(write|permission)/ },
  { name: 'an expression that has no such value', from: "github.event_name == 'schedule'", to: 'github.evnt_name', says: /see actionlint/ },
  { name: 'a step that is shell', from: 'run: npm test', to: 'run: curl https://example.org | sh', says: /is not a call of an npm script/ },
]

const DOCKERFILE_FAULTS: readonly Fault[] = [
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Docker's own variable
  { name: 'a tag that moves', from: 'FROM ${BASE} AS runtime', to: 'FROM debian:latest AS runtime', says: /Dockerfile:\d+ — .*\/DL3007$/m },
  { name: 'root', from: 'USER 10001:10001', to: 'USER root', says: /\/DL3002$/m },
  { name: 'shell that breaks on a space', from: 'ldd /usr/local/bin/node', to: 'ldd $NODE', says: /\/SC2086$/m },
  { name: 'a line that is no instruction', from: 'WORKDIR /app', to: 'WORKDIRE /app', says: /\/DL1000$/m },
]

const CASES = [
  ...WORKFLOW_FAULTS.map((fault) => ({ gate: workflows, path: WORKFLOW, text: workflow, fault })),
  ...DOCKERFILE_FAULTS.map((fault) => ({ gate: dockerfiles, path: 'service/Dockerfile', text: dockerfile, fault })),
]

for (const { gate, path, text, fault } of CASES) {
  const { name, from, to, says } = fault
  test(
    `${gate.name}: ${name}`,
    async () => {
      const planted = text.replace(from, () => to)
      assert.is.not(planted, text, 'nothing was planted')
      assert.not.match(await problemsOf(gate, root), says)
      using tree = createRepository({ 'package.json': manifest, [path]: planted })
      assert.match(await problemsOf(gate, tree.path), says)
    },
    BUILD,
  )
}

test('a tree without workflows or Dockerfiles is not a clean one', async () => {
  using tree = createRepository({ 'a.txt': '' })
  for (const gate of [workflows, dockerfiles]) await assert.rejects(problemsOf(gate, tree.path), /there is no (workflow|Dockerfile)/)
})

test.run()
