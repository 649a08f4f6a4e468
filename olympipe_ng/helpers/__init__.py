"""Small tools beside the pipeline, under olympipe's names."""
