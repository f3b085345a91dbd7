/** The stack as it is rendered for this machine and for EKS: it differs in named ways only. */
import { stackOn } from '#core'
import { stack } from '../../holdfast.config.ts'
import { compareTrees, PARITY, renderFor } from '../rehearsal/parity.ts'
import { assert, suite } from '../suite.ts'

const test = suite('cloud parity')

const HOST = '123456789012.dkr.ecr.us-east-2.amazonaws.com/holdfast-dev'
const names = stackOn(stack, 'eks').parts.flatMap(({ images }) => images.map(({ name }) => name))
const images = new Map(names.map((name, i) => [name, `sha256:${String(i).padStart(64, '0')}`]))
const repositories = Object.fromEntries(names.map((name) => [name, `${HOST}/${name}`]))
const local = () => renderFor({ name: 'local', kind: 'k3s', images })
const cloud = () => renderFor({ name: 'holdfast-dev', kind: 'eks', images, repositories })

test('what runs on EKS differs from what runs here in named ways, ten at most, and each name explains something', async () => {
  assert.ok(PARITY.length <= 10)
  assert.equal(compareTrees(await local(), await cloud()), { unnamed: [], unused: [] })
})

test('any other difference is told by its object and its place', async () => {
  const changed = (await cloud()).map((object) =>
    object.kind === 'PrometheusRule' ? { ...object, spec: { ...object.spec, groups: [] } } : object,
  )
  const { unnamed } = compareTrees(await local(), changed)
  assert.ok(unnamed.length > 0 && unnamed.every((at) => at.startsWith('PrometheusRule ')), unnamed.join(', '))
})

test('on EKS every image comes from ECR by its digest, and no Service has a port on a node', async () => {
  const text = JSON.stringify(await cloud())
  const named = [...text.matchAll(/"image":"([^"]+)"/g)].map((match) => match[1] ?? '')
  assert.ok(named.length > 10)
  for (const image of named) assert.match(image, new RegExp(`^${HOST}/[\\w./-]+@sha256:[0-9a-f]{64}$`))
  assert.not.match(text, /NodePort/)
})

test.run()
