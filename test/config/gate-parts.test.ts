/** The gates of the parts, with the real tools: each red on a planted fault, green without it. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { previewCloud, previewLocal } from '#core'
import { type Check, pickGates, Unavailable } from '#kit/gate/gate'
import type { KubeObject } from '#kit/kube'
import { root } from '#kit/paths'
import { readPint } from '../../alerts/check.ts'
import { chartGate } from '../../chart/check.ts'
import { gates, stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('gates of parts')
/** The first use may install or build a tool. */
const BUILD = { timeoutMs: 600_000 }

interface Fault {
  readonly name: string
  readonly tool: string
  readonly file: string
  readonly from: string
  readonly to: string
  readonly says: RegExp
}

const OPEN = `resource "aws_vpc_security_group_ingress_rule" "open" {
  security_group_id = aws_security_group.this.id
  description       = "Everyone"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
}

`

/** By gate. */
const FAULTS: Readonly<Record<string, readonly Fault[]>> = {
  chart: [
    {
      name: 'a template that is not there',
      tool: 'helm',
      file: 'chart/templates/deployment.yaml',
      from: 'include "service.labels"',
      to: 'include "service.lables"',
      says: /^chart\/values\.yaml:1 — helm lint: .*service\.lables/m,
    },
    {
      name: 'a field that is misspelt',
      tool: 'kubeconform',
      file: 'chart/templates/deployment.yaml',
      from: 'revisionHistoryLimit:',
      to: 'revisionHistoryLimits:',
      says: /^chart\/values-prod\.yaml:1 — Deployment service: .*revisionHistoryLimits/m,
    },
    {
      name: 'a misspelt field of a policy',
      tool: 'kubeconform',
      file: 'chart/policies/run-as-non-root.yaml',
      from: 'failurePolicy:',
      to: 'failurePolice:',
      says: /^chart\/policies:1 — ValidatingAdmissionPolicy run-as-non-root: .*failurePolice/m,
    },
    {
      name: 'a container that runs as root',
      tool: 'policies',
      file: 'chart/templates/deployment.yaml',
      from: 'runAsUser: 10001',
      to: 'runAsUser: 0',
      says: /^chart\/values-prod\.yaml:1 — Deployment service is refused by run-as-non-root — Set runAsNonRoot: true and no runAsUser: 0 .* 'service'$/m,
    },
    {
      name: 'an image by the tag latest',
      tool: 'policies',
      file: 'chart/templates/_helpers.tpl',
      from: 'printf "%s@%s" $name .Values.image.digest',
      to: 'printf "%s:latest" $name',
      says: /^chart\/values\.yaml:1 — Deployment service is refused by images-by-digest — Name each image .* 'docker\.io\/holdfast\/service:latest'$/m,
    },
    {
      name: 'a container without limits',
      tool: 'policies',
      file: 'chart/templates/deployment.yaml',
      from: '{{- toYaml (ternary .Values.sync.resources .Values.resources (not (empty (include "service.isSynced" .)))) | nindent 12 }}',
      to: '{}',
      says: /is refused by cpu-and-memory-limits/,
    },
  ],
  rules: [
    {
      name: 'a rule without a test',
      tool: 'coverage',
      file: 'alerts/rules/platform.yaml',
      from: '        - alert: TargetDown',
      to: '        - alert: Untested\n          expr: up == 0\n        - alert: TargetDown',
      says: /^alerts\/rules\/tests:1 — Untested: no test expects it to fire — add the test$/m,
    },
    {
      name: 'a rule whose test says otherwise',
      tool: 'promtool',
      file: 'alerts/rules/service.yaml',
      from: '> 0.1',
      to: '> 0.9',
      says: /^alerts\/rules\/tests:1 — .*HighErrorRate.* — npm run test:config -- rules$/m,
    },
    {
      name: 'a query that cannot be read',
      tool: 'promtool',
      file: 'alerts/rules/tests/service.yaml',
      from: 'exp_alerts:',
      to: 'exp_alert:',
      says: /^alerts\/rules\/tests:1 — /m,
    },
    {
      name: 'a query that says less than it seems to',
      tool: 'pint',
      file: 'alerts/rules/platform.yaml',
      from: 'up offset 2m',
      to: 'up{job=~"api"} offset 2m',
      says: /^alerts\/rules:1 — TargetDown: redundant regexp — see https:\/\/cloudflare\.github\.io\/pint\/checks\/promql\/regexp\.html$/m,
    },
  ],
  terraform: [
    {
      name: 'a form that is not the one',
      tool: 'terraform',
      file: 'cloud/platform/versions.tf',
      from: 'terraform {',
      to: 'terraform   {',
      says: /^cloud\/platform\/versions\.tf:1 — is formatted in another way/m,
    },
    {
      name: 'a value that nobody declares',
      tool: 'terraform',
      file: 'cloud/bootstrap/outputs.tf',
      from: 'value = ',
      to: 'value = local.nobody_declares_it == 1 ? null : ',
      says: /^cloud\/bootstrap\/outputs\.tf:\d+ — Reference to undeclared local value/m,
    },
    {
      name: 'a variable that nobody uses',
      tool: 'tflint',
      file: 'cloud/bootstrap/variables.tf',
      from: 'variable "owner" {',
      to: 'variable "unused" {\n  type = string\n}\n\nvariable "owner" {',
      says: /^cloud\/bootstrap\/variables\.tf:\d+ — variable "unused" is declared but not used/m,
    },
    {
      name: 'a security group that is open to everyone',
      tool: 'checkov',
      file: 'cloud/modules/database/main.tf',
      from: 'resource "aws_vpc_security_group_ingress_rule" "nodes" {',
      to: `${OPEN}resource "aws_vpc_security_group_ingress_rule" "nodes" {`,
      says: /^cloud\/modules\/database\/main\.tf:\d+ — .*0\.0\.0\.0.* \(.*\.open\) — CKV_AWS_24/m,
    },
  ],
}

async function changedTree({ file, from, to }: Fault): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-gate-'))
  const [part = ''] = file.split('/')
  await cp(join(root, part), join(path, part), { recursive: true })
  const text = await readFile(join(root, file), 'utf8')
  const planted = text.replace(from, () => to)
  assert.is.not(planted, text, 'nothing was planted')
  await writeFile(join(path, file), planted)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Undefined where the tool cannot be had here. */
async function problemsOf(check: Check, at: string): Promise<readonly string[] | undefined> {
  return check.run({ root: at }).catch((thrown) => {
    if (thrown instanceof Unavailable) return undefined
    throw thrown
  })
}

for (const gate of pickGates(gates, Object.keys(FAULTS)))
  for (const check of gate.checks) {
    const clean = await problemsOf(check, root)
    if (clean === undefined) {
      test.skip(`${gate.name}: ${check.tool}`, `${check.tool} cannot be had here`)
      continue
    }
    test(`${gate.name}: ${check.tool} finds nothing in this repository`, () => assert.equal(clean, []))
    for (const fault of FAULTS[gate.name]?.filter(({ tool }) => tool === check.tool) ?? [])
      test(
        `${gate.name}: ${check.tool} finds ${fault.name}`,
        async () => {
          await using tree = await changedTree(fault)
          assert.match((await problemsOf(check, tree.path))?.join('\n') ?? '', fault.says)
        },
        BUILD,
      )
  }

test('chart: digests finds an image that the cloud would run by a tag, and takes nothing for nothing', async () => {
  const pod = (image: string) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image }] } })
  const run = (objects: readonly KubeObject[]) =>
    chartGate({ cloud: async () => objects, local: async () => [] })
      .checks.find(({ tool }) => tool === 'digests')
      ?.run({ root })
  assert.equal(await run([pod(`a@sha256:${'0'.repeat(64)}`)]), [])
  assert.equal(await run([pod('a:latest')]), ["holdfast.config.ts:1 — Pod p runs 'a:latest' in the cloud — name it by its digest"])
  assert.match((await run([]))?.join() ?? '', /nothing with an image is rendered/)
})

for (const [name, workload] of [
  ['cloud', 'StatefulSet database'],
  ['local', 'Deployment git'],
] as const)
  test(
    `chart: kubeconform finds a misspelt field of what the ${name} cluster runs`,
    async () => {
      const previews = { cloud: () => previewCloud(stack), local: () => previewLocal(stack) }
      const isIt = ({ kind, metadata }: KubeObject) => `${kind} ${metadata.name}` === workload
      const planted = async () =>
        (await previews[name]()).map((each) => (isIt(each) ? { ...each, spec: { ...each.spec, replicaz: 2 } } : each))
      const check = chartGate({ ...previews, [name]: planted }).checks.find(({ tool }) => tool === 'kubeconform') as Check
      const problems = (await problemsOf(check, root))?.join('\n') ?? ''
      assert.match(
        problems,
        new RegExp(`^holdfast\\.config\\.ts:1 — of what the ${name} cluster runs, ${workload}: .*replicaz.* — mend the manifest$`),
      )
    },
    BUILD,
  )

test('pint has not looked where it says nothing of rules, or breaks', () => {
  const checking = (entries: number) => `level=INFO msg="Checking Prometheus rules" entries=${entries} workers=10 online=false\n`
  const failed = (err: string) => `level=ERROR msg="Execution completed with error(s)" err="${err}"\n`
  assert.equal(readPint({ stderr: checking(3), exitCode: 0 }), [])
  const unread = `${checking(3)}Oddity: in a new form\n${failed('found 1 problem(s) with severity Warning or higher')}`
  assert.match(readPint({ stderr: unread, exitCode: 1 }).join(), /^alerts\/rules:1 — pint: .*Oddity/)
  for (const [stderr, exitCode] of [
    ['', 0],
    [checking(0), 0],
    [failed('no matching files'), 1],
    [`${checking(3)}${failed('submitting reports: disk full')}`, 1],
  ] as const)
    assert.throws(() => readPint({ stderr, exitCode }), /pint has not looked/, stderr)
})

test('each check has a fault that it must find, or a test of its own', () => {
  const elsewhere = ['digests']
  for (const { name, checks } of pickGates(gates, Object.keys(FAULTS)))
    for (const { tool } of checks) {
      const has = FAULTS[name]?.some((fault) => fault.tool === tool) ?? false
      assert.is(has, !elsewhere.includes(tool), `${name}: ${tool}`)
    }
})

test.run()
