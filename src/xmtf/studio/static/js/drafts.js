// Drafts: templates as someone is writing them, kept until they are saved or thrown away.
import { app } from "./settings.js";

const name = (key, id) => `${key}\n${id}`;

/** The fields of a template that one may write. */
export function editable(template) {
  const metadata = template.metadata ?? {};
  return {
    name: template.name, language: template.language, jinja: template.jinja, answer_choices: template.answer_choices ?? null,
    reference: template.reference ?? "",
    metadata: {
      original_task: metadata.original_task ?? null, choices_in_prompt: metadata.choices_in_prompt ?? null,
      metrics: metadata.metrics ?? [], languages: metadata.languages ?? [],
    },
  };
}

export const draftOf = (key, id) => app.drafts.get(name(key, id)) ?? null;

/** Keep a draft; one that says what the file says is none. */
export function keepDraft(key, id, draft, saved) {
  const same = saved && JSON.stringify(draft) === JSON.stringify(editable(saved));
  if (same) app.drafts.delete(name(key, id));
  else app.drafts.set(name(key, id), draft);
  return !same;
}

export const dropDraft = (key, id) => app.drafts.delete(name(key, id));

/** What was written since `sent` was saved stays a draft, under the id that the template has now. */
export function settleDraft(key, id, sent, now) {
  const draft = draftOf(key, id);
  dropDraft(key, id);
  if (draft && JSON.stringify(draft) !== JSON.stringify(sent)) app.drafts.set(name(key, now), draft);
}

export const newDrafts = (key) =>
  [...app.drafts].filter(([place]) => place.startsWith(`${key}\nnew-`)).map(([place, draft]) => ({ id: place.slice(key.length + 1), ...draft }));

/** What asks about a template: its id where it is as saved, else the draft. */
export function asked(key, template) {
  const draft = draftOf(key, template.id);
  return draft ? { template: template.id.startsWith("new-") ? null : template.id, draft: source(draft) } : { template: template.id, draft: null };
}

/** What of a template decides what it renders to. */
export const source = ({ name: called, language, jinja, answer_choices, metadata }) => ({ name: called, language, jinja, answer_choices, metadata });

addEventListener("beforeunload", (event) => { if (app.drafts.size) event.preventDefault(); });
