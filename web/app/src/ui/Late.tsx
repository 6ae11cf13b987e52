// A part of the page whose code comes later. When it does not come, that is said, with what helps.

import { ErrorBoundary, type JSX, Suspense } from "solid-js";
import { t } from "../i18n/index.ts";

/**
 * Shows the fallback until the children are there. Nothing that the children load afterwards brings
 * it back.
 */
export function Late(props: { fallback: JSX.Element; children: JSX.Element }) {
  return (
    <ErrorBoundary fallback={(error) => <Broken error={error} />}>
      <Suspense fallback={props.fallback}>{props.children}</Suspense>
    </ErrorBoundary>
  );
}

function Broken(props: { error: unknown }) {
  console.error(props.error);
  return (
    <main class="login">
      <div class="card empty" role="alert" data-testid="broken">
        <h1>{t().partMissing}</h1>
        <p>{t().partMissingHint}</p>
        {/* A browser keeps the failure of a module for as long as the page lives. */}
        <button type="button" class="primary" onClick={() => location.reload()} data-testid="reload">
          {t().reload}
        </button>
      </div>
    </main>
  );
}
