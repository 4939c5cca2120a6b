llm = create_llm("lmstudio", model="local-model", base_url="http://localhost:1234/v1")
